"""Wait until a job has ended."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import corvo_client
from corvo_cli.exits import ExitCode, Failure
from corvo_cli.human import span
from corvo_cli.session import Session
from corvo_cli.show.job_view import progress

if TYPE_CHECKING:
    from corvo_client import Job
    from corvo_client.calls import Exact

_FINISHED = frozenset({"completed", "dead", "cancelled"})
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0


def wait_for_end(session: Session, job_id: str, timeout: float | None) -> "Exact[Job]":
    """Poll a job until it has ended, or until `timeout` seconds have passed. Return its state.

    None as the timeout waits without a limit.
    """
    call = corvo_client.calls.get_job(job_id)
    deadline = None if timeout is None else session.monotonic() + timeout
    pause = _FIRST_PAUSE
    with _status(session) as show:
        while True:
            reply = session.ask(call)
            left = None if deadline is None else deadline - session.monotonic()
            if is_finished(reply.value) or (left is not None and left <= 0):
                return reply
            show(f"{job_id} is {reply.value.state} {progress(reply.value.progress)}".rstrip())
            session.sleep(pause if left is None else min(pause, left))
            pause = min(_LONGEST_PAUSE, pause * 1.5)


def is_finished(job: "Job") -> bool:
    """Return whether the job is completed, dead or cancelled."""
    return job.state in _FINISHED


def check_end(job: "Job", timeout: float | None) -> None:
    """Raise `Failure` if the job is not completed."""
    if not is_finished(job):
        raise Failure(
            f"{job.id} is still {job.state} after {span(timeout or 0)}. The job continues. "
            f"Follow it with `corvo inspect {job.id}`.",
            ExitCode.TIMED_OUT,
        )
    if job.state != "completed":
        reason = ": " + job.errors[-1].error.partition("\n")[0] if job.errors else ""
        raise Failure(f"{job.id} is {job.state}{reason}", ExitCode.ERROR)


@contextlib.contextmanager
def _status(session: Session) -> Iterator[Callable[[str], None]]:
    """Yield a function that shows a temporary status line on stderr, if it is a terminal."""
    if session.output.is_json or not session.output.can_draw:
        yield lambda _text: None
        return
    from rich.console import Console  # noqa: PLC0415 - slow to load
    from rich.text import Text  # noqa: PLC0415

    console = Console(file=sys.stderr, no_color=not session.output.has_colour)
    with console.status("") as status:
        yield lambda text: status.update(Text(text))
