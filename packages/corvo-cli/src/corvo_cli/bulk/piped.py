"""The jobs that a bulk command is about, as they come from stdin."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click


@dataclass(frozen=True, slots=True)
class Piped:
    """Ids from stdin. `has_more`: they are one page of a search that had more."""

    job_ids: list[str]
    has_more: bool = False


def read_ids(text: str) -> Piped:
    """Read ids: one a line, a table of `corvo search`, or its JSON in either form.

    Raises `click.UsageError` for a line that has no id in it.
    """
    stripped = text.strip()
    if not stripped.startswith(("{", "[")):
        return Piped(_unique(_ids_of_lines(stripped.splitlines())))
    try:
        document = json.loads(stripped)
    except ValueError:
        return Piped(_unique(_ids_of_json_lines(stripped.splitlines())))
    if isinstance(document, dict) and isinstance(document.get("jobs"), list):
        ids = [_id_of(job) for job in document["jobs"]]
        return Piped(_unique(ids), has_more=bool(document.get("has_more")))
    if isinstance(document, dict) and isinstance(document.get("job_ids"), list):
        return Piped(_unique(map(_id_of, document["job_ids"])))
    return Piped(_unique(map(_id_of, document if isinstance(document, list) else [document])))


def _ids_of_lines(lines: list[str]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        first, *more = line.split() or [""]
        if first.startswith("job_"):
            yield first
        elif first and not (number == 1 and first == "JOB" and more):
            raise click.UsageError(f"Line {number} of stdin has no job id: {line[:60]!r}.")


def _ids_of_json_lines(lines: list[str]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield _id_of(json.loads(line))
            except ValueError as error:
                raise click.UsageError(f"Line {number} of stdin is not JSON: {error}.") from error


def _id_of(document: Any) -> str:
    """The id of a job, of the answer to an enqueue, or an id itself."""
    found = document
    if isinstance(document, dict):
        found = document.get("id", document.get("job_id"))
    if not isinstance(found, str):
        text = json.dumps(document, ensure_ascii=False)
        raise click.UsageError(f"There is no job id in this part of stdin: {text[:60]}.")
    return found


def _unique(ids: "Iterator[str] | list[str]") -> list[str]:
    """The ids in their order, each once."""
    return list(dict.fromkeys(ids))
