"""What can be done to a queue: hold its jobs back, limit them, remove them."""

from typing import TYPE_CHECKING

import click

import corvo_client
from corvo_cli.command import Command
from corvo_cli.human import count
from corvo_cli.parameters import QUEUE, SPAN
from corvo_cli.session import Session, pass_session

if TYPE_CHECKING:
    from corvo_client.calls import Call
    from corvo_schema import QueueStatusReply


@click.command(cls=Command, examples="corvo pause emails")
@click.argument("queue", type=QUEUE)
@pass_session
def pause(session: Session, queue: str) -> None:
    """Hold a queue's jobs back.

    New ones can be enqueued, active ones end; none is handed out until `corvo resume`.
    """
    _act(session, corvo_client.calls.pause_queue(queue), f"{queue} is paused.")


@click.command(cls=Command, examples="corvo resume emails")
@click.argument("queue", type=QUEUE)
@pass_session
def resume(session: Session, queue: str) -> None:
    """Hand a queue's jobs out again.

    After `corvo pause` or `corvo drain`.
    """
    _act(session, corvo_client.calls.resume_queue(queue), f"{queue} is handed out again.")


@click.command(cls=Command, examples="corvo drain emails")
@click.argument("queue", type=QUEUE)
@pass_session
def drain(session: Session, queue: str) -> None:
    """Hold jobs back and let the active ones end.

    `corvo queues QUEUE` shows `draining`, and how many are still active.
    """
    _act(session, corvo_client.calls.drain_queue(queue), f"{queue} hands out no more jobs.")


@click.command(cls=Command, examples="corvo clear emails")
@click.argument("queue", type=QUEUE)
@pass_session
def clear(session: Session, queue: str) -> None:
    """Remove a queue's waiting jobs.

    Those that are pending or scheduled, for good. Others stay, and so do the queue and its limits.
    """
    reply = session.ask(corvo_client.calls.clear_queue(queue))
    gone = count(reply.value.deleted or 0, "job")
    session.output.done(reply.body, f"{gone} removed from {queue}.")


@click.command(cls=Command, examples="corvo destroy emails --confirm")
@click.argument("queue", type=QUEUE)
@click.option("--confirm", is_flag=True, help="Yes, remove it; nothing is done without.")
@pass_session
def destroy(session: Session, queue: str, confirm: bool) -> None:
    """Remove a queue with all its jobs.

    For good, and with the queue's limits. Not while workers have jobs of it: pause it and wait, or
    cancel them.
    """
    if not confirm:
        raise click.UsageError(f"Nothing was done. To remove {queue} with all its jobs: --confirm.")
    reply = session.ask(corvo_client.calls.delete_queue(queue))
    gone = count(reply.value.deleted or 0, "job")
    session.output.done(reply.body, f"{queue} is removed, and with it {gone}.")


@click.command(
    cls=Command,
    examples="""
    corvo concurrency emails 10                at most 10 at once
    corvo concurrency emails --per-key 2       at most 2 at once for each concurrency key
    corvo concurrency emails 0 --per-key 0     no limits
    """,
)
@click.argument("queue", type=QUEUE)
@click.argument("limit", type=click.IntRange(min=0), required=False)
@click.option(
    "--per-key",
    type=click.IntRange(min=0),
    metavar="N",
    help="How many of those that share a concurrency key; 0 lifts the limit.",
)
@pass_session
def concurrency(session: Session, queue: str, limit: int | None, per_key: int | None) -> None:
    """Limit how many jobs are active at once.

    LIMIT is for all of them; 0 lifts it. What is not given stays as it is. Holds across all
    workers, from the next job on.
    """
    if limit is None and per_key is None:
        raise click.UsageError("Give a LIMIT, --per-key, or both.")
    limits = [(limit, ""), (per_key, " per key")]
    words = [
        (f"at most {number:,}" if number else "any number") + suffix
        for number, suffix in limits
        if number is not None
    ]
    call = corvo_client.calls.limit_queue(queue, limit, per_key)
    _act(session, call, f"{queue}: {' and '.join(words)} at once.")


@click.command(
    cls=Command,
    examples="""
    corvo throttle emails 100                at most 100 starts in any second
    corvo throttle emails 1000 --per 1h      at most 1000 in any hour
    corvo throttle emails --off              no limit
    """,
)
@click.argument("queue", type=QUEUE)
@click.argument("rate", type=click.IntRange(min=1), required=False)
@click.option(
    "--per", "period", type=SPAN, metavar="DURATION", help="In which time.  [default: 1s]"
)
@click.option("--off", is_flag=True, help="Lift the limit.")
@pass_session
def throttle(
    session: Session,
    queue: str,
    rate: int | None,
    period: str | None,
    off: bool,
) -> None:
    """Limit how many jobs start in a time.

    RATE is never exceeded in any window of that length, across all workers.
    """
    if off == (rate is not None) or (off and period is not None):
        raise click.UsageError("Give either a RATE or --off.")
    if rate is None:
        _act(session, corvo_client.calls.unthrottle_queue(queue), f"{queue} is not throttled.")
        return
    window = period or "1s"
    call = corvo_client.calls.throttle_queue(queue, rate, window)
    _act(session, call, f"{queue}: at most {rate:,} jobs start in any {window}.")


def _act(session: Session, call: "Call[QueueStatusReply]", done: str) -> None:
    """Make the call, and say that it is done."""
    session.output.done(session.ask(call).body, done)
