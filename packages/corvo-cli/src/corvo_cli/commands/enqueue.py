"""`corvo enqueue`."""

from typing import TYPE_CHECKING, Any, cast

import click

import corvo_client
from corvo_cli.command import Command
from corvo_cli.exits import ExitCode, Failure
from corvo_cli.parameters import BACKOFF, DURATION, ON_CONFLICT, PRIORITY, QUEUE, SPAN, TAG
from corvo_cli.payload import read_payload
from corvo_cli.session import Session, pass_session
from corvo_cli.show.job_view import job_view
from corvo_cli.waiting import check_end, wait_for_end

if TYPE_CHECKING:
    from corvo_client import EnqueueOptions, EnqueueReply

_EXAMPLES = """
    corvo enqueue emails '{"to": "ada@example.com"}'
    corvo enqueue reports @report.json --delay 10m --tag tenant=acme
    jq -c .order order.json | corvo enqueue orders - --unique-key order-7
    id=$(corvo enqueue imports '{"file": "a.csv"}')
    corvo enqueue imports '{"file": "a.csv"}' --wait --wait-timeout 5m -o json | jq .result
"""


@click.command(cls=Command, examples=_EXAMPLES)
@click.argument("queue", type=QUEUE)
@click.argument("payload", default="{}")
@click.option("--priority", type=PRIORITY, help="Who is served first.  [default: normal]")
@click.option("--unique-key", metavar="KEY", help="At most one live job of the queue has it.")
@click.option(
    "--unique-period",
    type=SPAN,
    metavar="DURATION",
    help="For how long at most it is held.  [default: 1h]",
)
@click.option(
    "--on-conflict",
    type=ON_CONFLICT,
    help="What to do to the live job that has the key.  [default: ignore]",
)
@click.option(
    "--max-retries", type=int, metavar="N", help="How many attempts there are in all.  [default: 3]"
)
@click.option(
    "--retry-backoff",
    type=BACKOFF,
    help="How pauses between attempts grow.  [default: exponential]",
)
@click.option(
    "--retry-base-delay", type=SPAN, metavar="DURATION", help="The first pause.  [default: 5s]"
)
@click.option(
    "--retry-max-delay", type=SPAN, metavar="DURATION", help="The longest pause.  [default: 10m]"
)
@click.option("--scheduled-at", metavar="TIME", help="Not before then, like 2026-01-31T08:00:00Z.")
@click.option("--delay", type=SPAN, metavar="DURATION", help="Not before so much time has passed.")
@click.option(
    "--expire-after", type=SPAN, metavar="DURATION", help="Not finished by then, the job is dead."
)
@click.option("--tag", "tags", type=TAG, multiple=True, metavar="KEY=VALUE", help="Repeatable.")
@click.option(
    "--concurrency-key",
    metavar="KEY",
    help="Jobs that share it can be limited together; see `corvo concurrency`.",
)
@click.option("--job-id", metavar="ID", help="Repeating the same id has no second effect.")
@click.option("--wait", is_flag=True, help="Wait until the job has ended, and show it.")
@click.option(
    "--wait-timeout",
    type=DURATION,
    metavar="DURATION",
    help="Wait so long at most; implies --wait.",
)
@pass_session
def enqueue(
    session: Session,
    /,
    *,
    queue: str,
    payload: str,
    wait: bool,
    wait_timeout: float | None,
    **options: Any,
) -> None:
    """Enqueue a job.

    PAYLOAD is JSON: a literal, @FILE, or - for stdin; {} when left out. It is kept as it is, to the
    last digit. A DURATION is like 250ms, 5s, 1h30m, 7d; a number alone is seconds.

    Prints the job's id. With --wait the job itself, once it has ended: the exit code is 0 only if
    it is completed, and 7 when it has not ended within --wait-timeout.
    """
    document = read_payload(payload)
    options["tags"] = dict(options["tags"]) or None
    request = corvo_client.calls.enqueue_request(queue, document, cast("EnqueueOptions", options))
    reply = session.ask(corvo_client.calls.enqueue(request))
    if not (wait or wait_timeout is not None):
        if not session.output.is_json:
            session.output.lines([reply.value.job_id])
        session.output.done(reply.body, _outcome(queue, reply.value))
        return
    session.output.say(f"{reply.value.job_id}: {_outcome(queue, reply.value)}")
    try:
        ended = wait_for_end(session, reply.value.job_id, wait_timeout)
    except KeyboardInterrupt:
        raise Failure(
            f"Not waiting any longer; {reply.value.job_id} goes on.", ExitCode.INTERRUPTED
        ) from None
    session.output.one(ended.body, lambda: job_view(ended.value, ended.body, session.now()))
    check_end(ended.value, wait_timeout)


def _outcome(queue: str, reply: "EnqueueReply") -> str:
    """What has become of the enqueue, in words."""
    if not reply.unique_existing:
        return f"enqueued in {queue}, {reply.status}"
    match reply.status:
        case "replaced":
            return f"the job in {queue} with this unique key was replaced"
        case "rescheduled":
            return f"the job in {queue} with this unique key was rescheduled"
        case _:
            return f"nothing enqueued, a job in {queue} has this unique key already"
