"""The filter options of `corvo search` and `corvo bulk`."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

import corvo_client
from corvo_cli.parameters import PRIORITY, QUEUE, STATE, TAG, TIME, NumberType, tags_of
from corvo_cli.texts import read_file

if TYPE_CHECKING:
    from corvo_schema import SearchFilter

F = TypeVar("F", bound=Callable[..., Any])

_TIMES = ("created", "scheduled", "started", "completed", "failed", "expire")
_FILE_HELP = (
    "A filter of the HTTP API as a JSON object, or @FILE with one. Combined with the other "
    "options; a field must not be given twice."
)


def _text(flag: str, metavar: str, help_text: str) -> Callable[[F], F]:
    return click.option(flag, metavar=metavar, help=help_text)


def _number(flag: str, help_text: str) -> Callable[[F], F]:
    return click.option(flag, type=NumberType(min=0), metavar="N", help=help_text)


def _times() -> list[Callable[[F], F]]:
    words = {
        "created": "created",
        "scheduled": "scheduled to run",
        "started": "started",
        "completed": "completed",
        "failed": "whose last failure was",
        "expire": "expiring",
    }
    return [
        click.option(
            f"--{name}-{side}",
            *(["--since"] if (name, side) == ("created", "after") else []),
            type=TIME,
            metavar="TIME",
            help=f"Match jobs {words[name]} {side} this time.",
        )
        for name in _TIMES
        for side in ("after", "before")
    ]


_OPTIONS: list[Callable[[Any], Any]] = [
    click.option("--queue", type=QUEUE, metavar="QUEUE", help="Match jobs of this queue."),
    click.option(
        "--state",
        type=STATE,
        multiple=True,
        metavar="STATE",
        help="Match jobs in this state. Repeat the option to match any of several states. failed "
        "is the same as dead.",
    ),
    click.option("--priority", type=PRIORITY, help="Match jobs of this priority."),
    click.option(
        "--tag",
        "tags",
        type=TAG,
        multiple=True,
        callback=tags_of,
        metavar="KEY=VALUE",
        help="Match jobs with this tag. Repeat the option to require several tags.",
    ),
    _text(
        "--payload-contains", "TEXT", "Match jobs whose payload, as JSON text, contains this text."
    ),
    _text(
        "--payload-jq",
        "EXPRESSION",
        "Match jobs whose payload meets this condition, e.g. '.user.id == 7'.",
    ),
    *_times(),
    _number("--attempt-min", "Match jobs with at least this number of attempts."),
    _number("--attempt-max", "Match jobs with at most this number of attempts."),
    _text("--unique-key", "KEY", "Match jobs with this unique key."),
    _text("--batch-id", "ID", "Match jobs of this batch."),
    _text("--worker-id", "ID", "Match jobs whose latest attempt ran on this worker."),
    click.option(
        "--has-errors/--no-errors",
        default=None,
        help="Match jobs whose last attempt failed, or did not fail.",
    ),
    _text(
        "--error-contains", "TEXT", "Match jobs with this text in the error of the last attempt."
    ),
    click.option(
        "--any-attempt",
        "error_scope",
        flag_value="any",
        default=None,
        help="Let --has-errors, --no-errors and --error-contains look at all attempts, not only at "
        "the last one.",
    ),
    _text("--job-id-prefix", "TEXT", "Match jobs whose id starts with this text."),
    click.option("--filter", "filter_json", metavar="JSON", help=_FILE_HELP),
]


def filter_options(function: F) -> F:
    """Add the filter options to a command."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def take_filters(options: dict[str, Any]) -> "SearchFilter | None":
    """Remove the filters from a command's options and return them; None if no filter is given.

    Raises `click.UsageError` if a field is given both by an option and in `--filter`, and
    `ValidationFailed`.
    """
    names = [name for name in options if name in FILTERS]
    given = {name: options.pop(name) for name in names}
    filters = {name: value for name, value in given.items() if value not in (None, ())}
    text = options.pop("filter_json")
    if text is None:
        return corvo_client.calls.search_filter(filters) if filters else None
    more = _read(text)
    twice = sorted(more.keys() & filters.keys())
    if twice:
        raise click.UsageError(
            f"Both --filter and an option set {', '.join(twice)}; set each field once."
        )
    return corvo_client.calls.search_filter(more | filters)


def format_filters(filters: "SearchFilter") -> str:
    """Format filters on one line, such as `queue=emails state=dead`. No filters are no text."""
    given = filters.model_dump(mode="json", exclude_unset=True)
    return " ".join(f"{name}={_value(value)}" for name, value in given.items())


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _read(text: str) -> dict[str, Any]:
    if text.startswith("@"):
        text = read_file(text.removeprefix("@"))
    try:
        document = json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"--filter is not valid JSON: {error}.") from error
    if not isinstance(document, dict):
        raise click.UsageError('--filter must be a JSON object, e.g. \'{"queue": "emails"}\'.')
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
        "error_scope",
        "job_id_prefix",
    }
)
"""The fields of the filter of the HTTP API."""
