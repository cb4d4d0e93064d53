"""Actions on one job: `corvo retry`, `requeue`, `cancel`, `move`, `priority`, `delete`."""

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
    """Retry an ended job, or run a waiting job now.

    An ended job gets all its attempts again. For many jobs, see `corvo bulk retry`.
    """
    _act(session, corvo_client.calls.retry_job(job_id), f"{job_id} is pending again.")


@click.command(cls=Command, examples=f"corvo requeue {_JOB}")
@click.argument("job_id")
@pass_session
def requeue(session: Session, job_id: str) -> None:
    """Give a dead job one more attempt.

    Its earlier attempts still count. `corvo retry` resets them instead.
    """
    _act(session, corvo_client.calls.requeue_job(job_id), f"{job_id} gets one more attempt.")


@click.command(cls=Command, examples=f"corvo cancel {_JOB}")
@click.argument("job_id")
@pass_session
def cancel(session: Session, job_id: str) -> None:
    """Cancel a job.

    A waiting job is cancelled at once. The worker of an active job learns of the cancel at its
    next heartbeat, and the job is cancelled when the worker stops it.
    """
    reply = session.ask(corvo_client.calls.cancel_job(job_id))
    is_running = reply.value.status == "cancelling"
    outcome = "is active and will be cancelled by its worker" if is_running else "is cancelled"
    session.output.done(reply.body, f"{job_id} {outcome}.")


@click.command(cls=Command, examples=f"corvo move {_JOB} emails.slow")
@click.argument("job_id")
@click.argument("queue", type=QUEUE)
@pass_session
def move(session: Session, job_id: str, queue: str) -> None:
    """Move a job to another queue.

    The job keeps its state, errors and events. An active job cannot be moved.
    """
    _act(session, corvo_client.calls.move_job(job_id, queue), f"{job_id} is now in {queue}.")


@click.command(cls=Command, examples=f"corvo priority {_JOB} critical")
@click.argument("job_id")
@click.argument("priority", type=PRIORITY, metavar="PRIORITY")
@pass_session
def priority(session: Session, job_id: str, priority: str) -> None:
    """Change the priority of a waiting job.

    PRIORITY is critical, high or normal. Fetches return higher priorities first.
    """
    call = corvo_client.calls.change_priority(job_id, priority)  # type: ignore[arg-type]
    _act(session, call, f"{job_id} now has priority {priority}.")


@click.command(cls=Command, examples=f"corvo delete {_JOB}")
@click.argument("job_id")
@pass_session
def delete(session: Session, job_id: str) -> None:
    """Delete a job permanently.

    Deletes its errors and its timeline, too. An active job must be cancelled first.
    """
    _act(session, corvo_client.calls.delete_job(job_id), f"{job_id} is deleted.")


def _act(session: Session, call: "Call[StatusReply]", done: str) -> None:
    """Make the call and print that the action is done."""
    session.output.done(session.ask(call).body, done)
