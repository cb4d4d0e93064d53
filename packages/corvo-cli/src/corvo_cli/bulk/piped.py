"""Read the job ids of a bulk command from stdin."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click


@dataclass(frozen=True, slots=True)
class Piped:
    """Ids from stdin. `has_more` is True if the input is a search page that is not the last."""

    job_ids: list[str]
    has_more: bool = False


def read_ids(text: str) -> Piped:
    """Return the ids in a list of ids, one per line, or in any output of `corvo search`.

    Raises `click.UsageError` for a line or an element without an id.
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
            raise click.UsageError(
                f"Line {number} of stdin does not start with a job id: {line[:60]!r}."
            )


def _ids_of_json_lines(lines: list[str]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield _id_of(json.loads(line))
            except ValueError as error:
                raise click.UsageError(
                    f"Line {number} of stdin is not valid JSON: {error}."
                ) from error


def _id_of(document: Any) -> str:
    """Return the id in a job or in the reply to an enqueue, or the document if it is an id."""
    found = document
    if isinstance(document, dict):
        found = document.get("id", document.get("job_id"))
    if not isinstance(found, str):
        text = json.dumps(document, ensure_ascii=False)
        raise click.UsageError(
            f"An element of stdin has no job id: {text[:60]}. Expected an id, or a job with "
            '"id" or "job_id".'
        )
    return found


def _unique(ids: "Iterator[str] | list[str]") -> list[str]:
    """Return the ids without duplicates, in the order of their first occurrence."""
    return list(dict.fromkeys(ids))
