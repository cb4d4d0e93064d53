"""Actions on a queue: pause, resume, drain, limit, set defaults, clear and destroy."""

from typing import TYPE_CHECKING, Unpack

import click

import corvo_client
from corvo_cli.bulk.following import follow
from corvo_cli.command import Command
from corvo_cli.human import count
from corvo_cli.option_groups import job_options
from corvo_cli.parameters import QUEUE, SPAN, NumberType
from corvo_cli.session import Session, pass_session

if TYPE_CHECKING:
    from corvo_client import DefaultOptions
    from corvo_client.calls import Call
    from corvo_schema import BulkAccepted, QueueStatusReply


@click.command(cls=Command, examples="corvo pause emails")
@click.argument("queue", type=QUEUE)
@pass_session
def pause(session: Session, queue: str) -> None:
    """Pause a queue.

    Fetches return none of its jobs until `corvo resume`. Jobs can still be enqueued, and active
    jobs continue.
    """
    _act(session, corvo_client.calls.pause_queue(queue), f"{queue} is paused.")


@click.command(cls=Command, examples="corvo resume emails")
@click.argument("queue", type=QUEUE)
@pass_session
def resume(session: Session, queue: str) -> None:
    """Resume a paused or drained queue.

    Fetches return its jobs again. Ends the effect of `corvo pause` and `corvo drain`.
    """
    _act(session, corvo_client.calls.resume_queue(queue), f"{queue} is resumed.")


@click.command(cls=Command, examples="corvo drain emails")
@click.argument("queue", type=QUEUE)
@pass_session
def drain(session: Session, queue: str) -> None:
    """Pause a queue and let its active jobs end.

    Has the effect of `corvo pause`, with the status `draining` until `corvo resume`. `corvo queues
    QUEUE` shows the number of jobs that are still active.
    """
    _act(session, corvo_client.calls.drain_queue(queue), f"{queue} is draining.")


@click.command(cls=Command, examples="corvo clear emails")
@click.argument("queue", type=QUEUE)
@pass_session
def clear(session: Session, queue: str) -> None:
    """Delete the pending and scheduled jobs of a queue.

    The jobs are deleted permanently. Other jobs, the queue and its limits stay. The server goes on
    if the command is interrupted.
    """
    _empty(session, corvo_client.calls.clear_queue(queue), f"Deleted {{}} of {queue}.")


@click.command(cls=Command, examples="corvo destroy emails --confirm")
@click.argument("queue", type=QUEUE)
@click.option("--confirm", is_flag=True, help="Confirm the deletion. Required.")
@pass_session
def destroy(session: Session, queue: str, confirm: bool) -> None:
    """Delete a queue with all its jobs.

    The queue, its jobs and its limits are deleted permanently. A queue with active jobs cannot be
    deleted: drain it first, or cancel the jobs. Jobs that are enqueued meanwhile stay. The server
    goes on if the command is interrupted.
    """
    if not confirm:
        raise click.UsageError(
            f"Nothing was deleted. Add --confirm to delete {queue} with all its jobs."
        )
    _empty(session, corvo_client.calls.delete_queue(queue), f"Deleted {queue} with {{}}.")


@click.command(
    cls=Command,
    examples="""
    corvo concurrency emails 10                at most 10 active jobs
    corvo concurrency emails --per-key 2       at most 2 active jobs for each concurrency key
    corvo concurrency emails 0 --per-key 0     no limits
    """,
)
@click.argument("queue", type=QUEUE)
@click.argument("limit", type=NumberType(min=0), required=False)
@click.option(
    "--per-key",
    type=NumberType(min=0),
    metavar="N",
    help="The maximum number of active jobs for each concurrency key. 0 removes the limit.",
)
@pass_session
def concurrency(session: Session, queue: str, limit: int | None, per_key: int | None) -> None:
    """Limit the number of active jobs of a queue.

    LIMIT is the maximum number of active jobs of the queue. 0 removes the limit. A limit that is
    not given stays unchanged. Limits apply across all workers. Jobs that are already active
    continue.
    """
    if limit is None and per_key is None:
        raise click.UsageError("No limit is given. Give a LIMIT, --per-key, or both.")
    limits = [(limit, ""), (per_key, " per key")]
    words = [
        (f"at most {number:,} active jobs" if number else "no limit of active jobs") + suffix
        for number, suffix in limits
        if number is not None
    ]
    call = corvo_client.calls.limit_queue(queue, limit, per_key)
    _act(session, call, f"{queue}: {' and '.join(words)}.")


@click.command(
    cls=Command,
    examples="""
    corvo throttle emails 100                at most 100 starts in any second
    corvo throttle emails 1000 --per 1h      at most 1000 starts in any hour
    corvo throttle emails --off              no limit
    """,
)
@click.argument("queue", type=QUEUE)
@click.argument("rate", type=NumberType(min=1), required=False)
@click.option(
    "--per",
    "period",
    type=SPAN,
    metavar="DURATION",
    help="The length of the window, e.g. 1m.  [default: 1s]",
)
@click.option("--off", is_flag=True, help="Remove the limit.")
@pass_session
def throttle(
    session: Session,
    queue: str,
    rate: int | None,
    period: str | None,
    off: bool,
) -> None:
    """Limit the rate at which jobs of a queue start.

    RATE is the maximum number of starts in any window of the length --per, across all workers.
    """
    if off == (rate is not None) or (off and period is not None):
        raise click.UsageError("Give either a RATE, optionally with --per, or only --off.")
    if rate is None:
        _act(session, corvo_client.calls.unthrottle_queue(queue), f"{queue} has no rate limit.")
        return
    window = period or "1s"
    call = corvo_client.calls.throttle_queue(queue, rate, window)
    _act(session, call, f"{queue}: at most {rate:,} jobs start in any {window}.")


@click.command(
    cls=Command,
    examples="""
    corvo defaults emails --max-retries 8 --retry-backoff fixed --retry-base-delay 1m
    corvo defaults emails --expire-after 1h --tag team=mail
    corvo defaults emails --off                             no defaults
    """,
)
@click.argument("queue", type=QUEUE)
@job_options
@click.option("--off", is_flag=True, help="Remove the defaults, and the schema of the payload.")
@pass_session
def defaults(
    session: Session, /, queue: str, off: bool, **options: "Unpack[DefaultOptions]"
) -> None:
    """Set options for the jobs of a queue that leave them out.

    The server gives them to jobs that are enqueued from now on, by anyone: a program, `corvo
    enqueue`, a schedule or a batch. An option that is not given here has no default any more. The
    schema of the payload stays. A worker that starts replaces them by the options of its task,
    unless it runs with publish=False. `corvo queues QUEUE` shows them.
    """
    given = [name for name, value in options.items() if value is not None]
    if off == bool(given):
        raise click.UsageError("Give either the options of the jobs, or only --off.")
    if off:
        call = corvo_client.calls.clear_queue_defaults(queue)
        _act(session, call, f"{queue} has no defaults.")
        return
    try:
        known = session.ask(corvo_client.calls.get_queue(queue)).value.defaults
    except corvo_client.NotFound:  # setting its defaults creates the queue
        known = None
    schema = None if known is None else known.payload_schema
    call = corvo_client.calls.set_queue_defaults(queue, options, schema)
    _act(session, call, f"{queue}: jobs have {', '.join(given)} by default.")


def _empty(session: Session, call: "Call[QueueStatusReply | BulkAccepted]", done: str) -> None:
    """Make the call, wait for the end of its operation, and print `done` with the jobs deleted."""
    reply = session.ask(call)
    if isinstance(reply.value, corvo_client.BulkAccepted):
        session.output.say(f"{reply.value.bulk_operation_id} runs in the background.")
        ended = follow(session, reply.value.bulk_operation_id)
        ended.check()
        session.output.done(ended.body, done.format(count(ended.value.affected, "job")))
    else:
        session.output.done(reply.body, done.format(count(reply.value.deleted or 0, "job")))


def _act(session: Session, call: "Call[QueueStatusReply]", done: str) -> None:
    """Make the call and print that the action is done."""
    session.output.done(session.ask(call).body, done)
