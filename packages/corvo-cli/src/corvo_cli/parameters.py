"""Types of options and arguments, and what a shell completes for them."""

import contextlib

import click
from click.shell_completion import CompletionItem

from corvo_cli.session import Session

_COMPLETION_SECONDS = 2.0


class TagType(click.ParamType[tuple[str, str]]):
    """`KEY=VALUE`; the first `=` separates."""

    name = "tag"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Split a tag."""
        key, separator, text = str(value).partition("=")
        if not (key and separator):
            self.fail(f"{value!r} is not a tag; write it like tenant=acme.", param, ctx)
        return key, text


class DurationType(click.ParamType[float]):
    """A duration such as `250ms`, `5s`, `1h30m`; in Python, seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read a duration."""
        if isinstance(value, int | float):
            return float(value)
        from corvo_schema import parse_duration  # noqa: PLC0415 - slow to load

        try:
            return parse_duration(str(value)) / 1000
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


class QueueType(click.ParamType[str]):
    """The name of a queue. Completed with those that the server has."""

    name = "queue"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[str]]:
        """Ask the server; when it does not answer, there is nothing to complete."""
        session = ctx.ensure_object(Session)
        with contextlib.suppress(Exception), session.short_client(_COMPLETION_SECONDS) as client:
            return [
                CompletionItem(queue.name)
                for queue in client.list_queues()
                if queue.name.startswith(incomplete)
            ]
        return []


TAG = TagType()
DURATION = DurationType()
QUEUE = QueueType()
PRIORITY = click.Choice(["critical", "high", "normal"])
BACKOFF = click.Choice(["none", "fixed", "linear", "exponential"])
ON_CONFLICT = click.Choice(["ignore", "replace", "reschedule", "error"])
