"""Types of options and arguments, with their shell completion."""

import contextlib
import difflib
import math
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta

import click
from click.shell_completion import CompletionItem

from corvo_cli.session import Session

_COMPLETION_SECONDS = 2.0
_BARE = re.compile("[0-9]+([.][0-9]+)?")
_WHOLE = re.compile("-?[0-9]{1,18}")
_RELATIVE = re.compile(r"([+-]?)([0-9.]+|[0-9.]+[a-z][0-9.a-z]*)")
_LOCAL = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(:\d{2}(?:\.\d+)?)?))?")


class Choice(click.Choice[str]):
    """One of several words. `aliases` are other words for them, which the help does not list."""

    def __init__(self, choices: Sequence[str], aliases: Mapping[str, str] | None = None) -> None:
        super().__init__(choices)
        self._aliases = aliases or {}

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return the word. Suggest a similar one for a typo."""
        word = self._aliases.get(str(value), str(value))
        if word not in self.choices:
            close = difflib.get_close_matches(word, self.choices, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            self.fail(f"{value!r} is not one of: {', '.join(self.choices)}.{hint}", param, ctx)
        return word


class NumberType(click.IntRange):
    """A whole number from `min`, up to `max` if that is given."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the number."""
        text = str(value)
        least, most = self.min or 0, self.max or math.inf
        number = int(text) if _WHOLE.fullmatch(text) else None
        if number is None or not least <= number <= most:
            limits = f"of at least {least}" if self.max is None else f"from {least} to {most}"
            self.fail(f"{text!r} is not a whole number {limits}.", param, ctx)
        return number


class TagType(click.ParamType[tuple[str, str]]):
    """A tag as `KEY=VALUE`. The first `=` separates key and value."""

    name = "tag"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Split a tag."""
        key, separator, text = str(value).partition("=")
        if not (key and separator):
            self.fail(
                f"{value!r} is not a tag. Write it as KEY=VALUE, e.g. tenant=acme.", param, ctx
            )
        return key, text


class SpanType(click.ParamType[str]):
    """A duration in the server's notation: `250ms`, `5s`, `1h30m`. A bare number is seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Append the unit to a bare number. The request model validates the result."""
        text = str(value)
        return f"{text}s" if _BARE.fullmatch(text) else text


class DurationType(click.ParamType[float]):
    """A duration such as `250ms`, `5s`, `1h30m`, or a number of seconds. Converts to seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the duration in seconds."""
        if isinstance(value, int | float):
            return float(value)
        from corvo_schema import parse_duration  # noqa: PLC0415 - slow to load

        try:
            return parse_duration(SPAN.convert(value, param, ctx)) / 1000
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


class TimeType(click.ParamType[str]):
    """A time: RFC 3339, a date, or relative to now.

    `1h` is an hour ago, `+1h` is in an hour, a bare number is seconds. A date is its start in UTC,
    and a time without a zone is in UTC. With `is_coming`, a relative time needs the plus sign.
    """

    name = "time"

    def __init__(self, *, is_coming: bool = False) -> None:
        self._is_coming = is_coming

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Convert a time to RFC 3339. The client validates any text that is none of the above."""
        text = str(value)
        if local := _LOCAL.fullmatch(text):
            return f"{local[1]}T{local[2] or '00:00'}{'' if local[3] else ':00'}Z"
        match = _RELATIVE.fullmatch(text)
        if match is None or ctx is None:
            return text
        if self._is_coming and match[1] != "+":
            self.fail(f"{text!r} is in the past; write +{match[2]} for a time to come.", param, ctx)
        distance = timedelta(seconds=DURATION.convert(match[2], param, ctx))
        now = ctx.ensure_object(Session).now()
        return (now + distance if match[1] == "+" else now - distance).isoformat()


class QueueType(click.ParamType[str]):
    """The name of a queue. Shell completion offers the queues of the server."""

    name = "queue"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem[str]]":
        """Return the queues of the server, or nothing if the server does not answer."""
        session = ctx.ensure_object(Session)
        with contextlib.suppress(Exception), session.short_client(_COMPLETION_SECONDS) as client:
            return [
                CompletionItem(queue.name)
                for queue in client.list_queues()
                if queue.name.startswith(incomplete)
            ]
        return []


def tags_of(
    _context: click.Context, _parameter: click.Parameter, pairs: Sequence[tuple[str, str]]
) -> dict[str, str] | None:
    """Return the tags of all `--tag` options; None if there are none."""
    return dict(pairs) or None


TAG = TagType()
SPAN = SpanType()
DURATION = DurationType()
TIME = TimeType()
COMING_TIME = TimeType(is_coming=True)
QUEUE = QueueType()
PRIORITY = Choice(["critical", "high", "normal"])
BACKOFF = Choice(["none", "fixed", "linear", "exponential"])
ON_CONFLICT = Choice(["ignore", "replace", "reschedule", "error"])
STATE = Choice(
    ["pending", "active", "scheduled", "retrying", "completed", "dead", "cancelled"],
    {"failed": "dead", "canceled": "cancelled"},
)
