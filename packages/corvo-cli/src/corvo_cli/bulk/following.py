"""Follow a bulk operation that runs in the background of the server."""

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


class DrawProgress(Protocol):
    """A function that shows the progress of an operation."""

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` jobs are processed."""
        ...


class Ended(NamedTuple):
    """An operation that has ended, and the server's JSON."""

    value: "BulkOperation"
    body: bytes

    def check(self) -> None:
        """Raise `Failure` if the operation is not completed."""
        if self.value.status != "completed":
            reason = f": {self.value.error}" if self.value.error else ""
            raise Failure(f"{self.value.id} is {self.value.status}{reason}")


def follow(session: Session, bulk_id: str, own: DrawProgress | None = None) -> Ended:
    """Wait for the end of an operation and return it.

    Show the progress by `own`, by default as a bar on a terminal.
    """
    calls = corvo_client.calls
    stream = calls.exact_stream(calls.follow_bulk(bulk_id))
    try:
        with (
            contextlib.nullcontext(own) if own is not None else progress_bar(session) as draw,
            contextlib.closing(session.client.follow(stream)) as reports,
        ):
            for report in reports:
                draw(report.value.processed, report.value.total)
                if report.value.status not in UNENDED:
                    return Ended(report.value, report.body)
    except KeyboardInterrupt:
        raise Failure(
            f"Stopped following {bulk_id}. The operation continues. Follow it with "
            f"`corvo bulk status {bulk_id} --follow`.",
            ExitCode.INTERRUPTED,
        ) from None
    raise Failure(
        f"The server ended the stream before the end of {bulk_id}. Check it with "
        f"`corvo bulk status {bulk_id}`."
    )


@contextlib.contextmanager
def progress_bar(session: Session) -> Iterator[DrawProgress]:
    """Yield a function that draws a progress bar on stderr, if it is a terminal."""
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
