"""Wait until a job has ended."""

import contextlib
import difflib
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
_PATIENCE = 3.0
"""Seconds after which a pending job needs an explanation; a worker may just be starting."""


def wait_for_end(session: Session, job_id: str, timeout: float | None) -> "Exact[Job]":
    """Poll a job until it has ended, or until `timeout` seconds have passed. Return its state.

    None as the timeout waits without a limit. If the job is still pending after three seconds and
    no worker serves its queue, a message on stderr says so.
    """
    call = corvo_client.calls.get_job(job_id)
    started = session.monotonic()
    deadline = None if timeout is None else started + timeout
    pause = _FIRST_PAUSE
    is_explained = False
    with _status(session) as (show, say):
        while True:
            reply = session.ask(call)
            left = None if deadline is None else deadline - session.monotonic()
            if is_finished(reply.value) or (left is not None and left <= 0):
                return reply
            show(_line(reply.value))
            if not is_explained and session.monotonic() - started >= _PATIENCE:
                is_explained = True
                if reply.value.state == "pending" and (
                    why := _unserved(session, reply.value.queue)
                ):
                    say(why)
            session.sleep(pause if left is None else min(pause, left))
            pause = min(_LONGEST_PAUSE, pause * 1.5)


def _line(job: "Job") -> str:
    """Return the state of a job, its progress, and why its last attempt failed."""
    text = f"{job.id} is {job.state} {progress(job.progress)}".rstrip()
    if job.state == "retrying" and job.errors:
        text += f" after attempt {job.attempt} of {job.max_retries}: {_first_line(job)}"
    return text


def _unserved(session: Session, queue: str) -> str | None:
    """Return a sentence if no worker serves a queue, with the nearest served name."""
    try:
        workers = session.ask(corvo_client.calls.list_workers()).value
    except corvo_client.CorvoError:  # the key may not list workers; the next poll shows an outage
        return None
    served = {name for worker in workers if worker.status == "ok" for name in worker.queues}
    if queue in served:
        return None
    near = difflib.get_close_matches(queue, served, 1)
    hint = f" Did you mean {near[0]}?" if near else " Start one, e.g. with `corvo worker`."
    return f"No worker serves {queue}. The job waits until one does.{hint}"


def _first_line(job: "Job") -> str:
    return job.errors[-1].error.partition("\n")[0]


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
        reason = ": " + _first_line(job) if job.errors else ""
        raise Failure(f"{job.id} is {job.state}{reason}", ExitCode.ERROR)


@contextlib.contextmanager
def _status(session: Session) -> Iterator[tuple[Callable[[str], None], Callable[[str], None]]]:
    """Yield a function for a temporary status line on stderr, and one for a lasting message.

    The status line is shown only on a terminal.
    """
    if session.output.is_json or not session.output.can_draw:
        yield (lambda _text: None), session.output.say
        return
    from rich.console import Console  # noqa: PLC0415 - slow to load
    from rich.text import Text  # noqa: PLC0415

    console = Console(file=sys.stderr, no_color=not session.output.has_colour)
    with console.status("") as status:
        yield (
            lambda text: status.update(Text(text)),
            lambda text: console.print(Text(text), soft_wrap=True),
        )
