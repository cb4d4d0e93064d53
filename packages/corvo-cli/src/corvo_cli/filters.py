"""The options that say which jobs are meant, for `corvo search` and `corvo bulk`."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from corvo_cli.parameters import PRIORITY, QUEUE, STATE, TAG, TIME
from corvo_cli.texts import read_file

if TYPE_CHECKING:
    from corvo_client import SearchFilters

F = TypeVar("F", bound=Callable[..., Any])

_TIMES = ("created", "scheduled", "started", "completed", "expire")
_FILE_HELP = "More of it as JSON, or in @FILE: the filter of the HTTP API."


def _text(flag: str, metavar: str, help_text: str) -> Callable[[F], F]:
    return click.option(flag, metavar=metavar, help=help_text)


def _number(flag: str, help_text: str) -> Callable[[F], F]:
    return click.option(flag, type=click.IntRange(min=0), metavar="N", help=help_text)


def _times() -> list[Callable[[F], F]]:
    words = {"created": "Created", "expire": "Expiring"}
    return [
        click.option(
            f"--{name}-{side}",
            type=TIME,
            metavar="TIME",
            help=f"{words.get(name, name.capitalize())} {side} then.",
        )
        for name in _TIMES
        for side in ("after", "before")
    ]


_OPTIONS: list[Callable[[Any], Any]] = [
    click.option("--queue", type=QUEUE, metavar="QUEUE", help="In this queue."),
    click.option(
        "--state", type=STATE, multiple=True, metavar="STATE", help="In any of these; repeatable."
    ),
    click.option("--priority", type=PRIORITY, help="Of this priority."),
    click.option(
        "--tag",
        "tags",
        type=TAG,
        multiple=True,
        metavar="KEY=VALUE",
        help="Repeatable: all of them.",
    ),
    _text("--payload-contains", "TEXT", "With this text in the payload's JSON."),
    _text("--payload-jq", "EXPRESSION", "For whose payload it holds, like '.user.id == 7'."),
    *_times(),
    _number("--attempt-min", "With at least so many attempts."),
    _number("--attempt-max", "With at most so many attempts."),
    _text("--unique-key", "KEY", "With this unique key."),
    _text("--batch-id", "ID", "Of this batch."),
    _text("--worker-id", "ID", "Of which this worker has, or had, the last attempt."),
    click.option(
        "--has-errors/--no-errors",
        default=None,
        help="Of which an attempt has failed, or none has.",
    ),
    _text("--error-contains", "TEXT", "With this text in an error."),
    _text("--job-id-prefix", "TEXT", "Whose id begins so."),
    click.option("--filter", "filter_json", metavar="JSON", help=_FILE_HELP),
]


def filter_options(function: F) -> F:
    """Give a command the options that say which jobs are meant."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def take_filters(options: dict[str, Any]) -> "SearchFilters | None":
    """Take the filters out of a command's options; None when there are none.

    A filter that is given twice, by an option and in the JSON, is wrong usage.
    """
    names = [name for name in options if name in FILTERS]
    given = {name: options.pop(name) for name in names}
    given["tags"] = dict(given["tags"])
    filters = {name: value for name, value in given.items() if value not in (None, (), {})}
    text = options.pop("filter_json")
    if text is None:
        return cast("SearchFilters", filters) if filters else None
    more = _read(text)
    twice = sorted(more.keys() & filters.keys())
    if twice:
        raise click.UsageError(f"--filter has {', '.join(twice)}, too: give it once.")
    return cast("SearchFilters", more | filters)


def described(filters: Mapping[str, Any]) -> str:
    """Write filters in one line: `queue=emails state=dead`."""
    return " ".join(f"{name}={_value(value)}" for name, value in filters.items())


def _value(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _read(text: str) -> dict[str, Any]:
    if text.startswith("@"):
        text = read_file(text.removeprefix("@"))
    try:
        document = json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"--filter is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise click.UsageError('--filter must be a JSON object, like \'{"queue": "emails"}\'.')
    return document


FILTERS = frozenset(
    {
        "queue",
        "state",
        "priority",
        "tags",
        "payload_contains",
        "payload_jq",
        *(f"{name}_{side}" for name in _TIMES for side in ("after", "before")),
        "attempt_min",
        "attempt_max",
        "unique_key",
        "batch_id",
        "worker_id",
        "has_errors",
        "error_contains",
        "job_id_prefix",
    }
)
"""The fields of the API's filter."""
