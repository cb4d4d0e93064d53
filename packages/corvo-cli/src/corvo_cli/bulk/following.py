"""Watching a bulk operation in the server's background."""

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

import corvo_client
from corvo_cli.exits import ExitCode, Failure
from corvo_cli.session import Session

if TYPE_CHECKING:
    from corvo_schema import BulkOperation

UNENDED = frozenset({"queued", "running"})


class Draw(Protocol):
    """Shows how far something is."""

    def __call__(self, done: int, total: int) -> None:
        """Show that so many of so many are done."""
        ...


class Ended(NamedTuple):
    """An operation that has ended, and the server's own words of it."""

    value: "BulkOperation"
    body: bytes

    def check(self) -> None:
        """Raise `Failure` unless it has done its work."""
        if self.value.status != "completed":
            why = f": {self.value.error}" if self.value.error else ""
            raise Failure(f"{self.value.id} is {self.value.status}{why}")


def follow(session: Session, bulk_id: str) -> Ended:
    """Return an operation once it has ended; on a terminal, draw how far it is."""
    calls = corvo_client.calls
    stream = calls.exact_stream(calls.follow_bulk(bulk_id))
    try:
        with drawing(session) as draw, contextlib.closing(session.client.follow(stream)) as reports:
            for report in reports:
                draw(report.value.processed, report.value.total)
                if report.value.status not in UNENDED:
                    return Ended(report.value, report.body)
    except KeyboardInterrupt:
        raise Failure(
            f"Not watching any longer; {bulk_id} goes on. See `corvo bulk status {bulk_id}`.",
            ExitCode.INTERRUPTED,
        ) from None
    raise Failure(f"The server does not say how {bulk_id} has ended.")


@contextlib.contextmanager
def drawing(session: Session) -> Iterator[Draw]:
    """Draw a bar on a terminal's stderr; elsewhere, nothing."""
    if session.output.is_json or not session.output.can_draw:
        yield lambda done, total: None
        return
    from rich import progress as rich  # noqa: PLC0415 - slow to load
    from rich.console import Console  # noqa: PLC0415

    console = Console(file=sys.stderr, no_color=not session.output.has_colour)
    columns = (rich.BarColumn(), rich.MofNCompleteColumn(), rich.TimeRemainingColumn())
    with rich.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("")
        yield lambda done, total: bar.update(task, completed=done, total=total)
