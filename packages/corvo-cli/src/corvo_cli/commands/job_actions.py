"""What can be done to a job: `corvo retry`, `requeue`, `cancel`, `move`, `priority`, `delete`."""

from typing import TYPE_CHECKING

import click

import corvo_client
from corvo_cli.command import Command
from corvo_cli.parameters import PRIORITY, QUEUE
from corvo_cli.session import Session, pass_session

if TYPE_CHECKING:
    from corvo_client.calls import Call
    from corvo_schema import StatusReply

_JOB = "job_01JD3Z9W6V7Q5X8M2N4P6R8T0B"


@click.command(cls=Command, examples=f"corvo retry {_JOB}")
@click.argument("job_id")
@pass_session
def retry(session: Session, job_id: str) -> None:
    """Run an ended job again, or a waiting one now.

    An ended job gets all its attempts again. Many jobs at once: see `corvo bulk retry`.
    """
    _act(session, corvo_client.calls.retry_job(job_id), f"{job_id} is pending again.")


@click.command(cls=Command, examples=f"corvo requeue {_JOB}")
@click.argument("job_id")
@pass_session
def requeue(session: Session, job_id: str) -> None:
    """Give a dead job one more attempt.

    The attempts it has had still count; `corvo retry` begins anew.
    """
    _act(session, corvo_client.calls.requeue_job(job_id), f"{job_id} gets one more attempt.")


@click.command(cls=Command, examples=f"corvo cancel {_JOB}")
@click.argument("job_id")
@pass_session
def cancel(session: Session, job_id: str) -> None:
    """Cancel a job.

    One that a worker has is cancelled as soon as the worker stops; it is told at its next
    heartbeat. `corvo inspect` shows when it has.
    """
    reply = session.ask(corvo_client.calls.cancel_job(job_id))
    is_running = reply.value.status == "cancelling"
    ended = "is running: its worker is being told to stop" if is_running else "is cancelled"
    session.output.done(reply.body, f"{job_id} {ended}.")


@click.command(cls=Command, examples=f"corvo move {_JOB} emails.slow")
@click.argument("job_id")
@click.argument("queue", type=QUEUE)
@pass_session
def move(session: Session, job_id: str, queue: str) -> None:
    """Put a job into another queue.

    As it is, with its errors and its history. Not while a worker has it.
    """
    _act(session, corvo_client.calls.move_job(job_id, queue), f"{job_id} is in {queue} now.")


@click.command(cls=Command, examples=f"corvo priority {_JOB} critical")
@click.argument("job_id")
@click.argument("priority", type=PRIORITY, metavar="PRIORITY")
@pass_session
def priority(session: Session, job_id: str, priority: str) -> None:
    """Let a waiting job be served earlier or later.

    PRIORITY is critical, high or normal.
    """
    call = corvo_client.calls.change_priority(job_id, priority)  # type: ignore[arg-type]
    _act(session, call, f"{job_id} is {priority} now.")


@click.command(cls=Command, examples=f"corvo delete {_JOB}")
@click.argument("job_id")
@pass_session
def delete(session: Session, job_id: str) -> None:
    """Remove a job for good.

    With its errors and its history. Not while a worker has it: cancel it first.
    """
    _act(session, corvo_client.calls.delete_job(job_id), f"{job_id} is deleted.")


def _act(session: Session, call: "Call[StatusReply]", done: str) -> None:
    """Make the call, and say that it is done."""
    session.output.done(session.ask(call).body, done)
