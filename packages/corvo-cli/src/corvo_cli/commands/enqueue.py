"""`corvo enqueue`."""

from typing import TYPE_CHECKING, Unpack

import click

import corvo_client
from corvo_cli.command import Command
from corvo_cli.exits import ExitCode, Failure
from corvo_cli.parameters import (
    BACKOFF,
    COMING_TIME,
    DURATION,
    ON_CONFLICT,
    PRIORITY,
    QUEUE,
    SPAN,
    TAG,
    NumberType,
    tags_of,
)
from corvo_cli.payload import read_payload
from corvo_cli.schema_check import warn_of_differences
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
@click.option(
    "--priority", type=PRIORITY, help="Fetches return higher priorities first.  [default: normal]"
)
@click.option(
    "--unique-key",
    metavar="KEY",
    help="Allow one unfinished job with this key in the queue; see --on-conflict.",
)
@click.option(
    "--unique-period",
    type=SPAN,
    metavar="DURATION",
    help="The maximum time for which the job keeps its unique key.  [default: 1h]",
)
@click.option(
    "--on-conflict",
    type=ON_CONFLICT,
    help="The action if an unfinished job already has the unique key.  [default: ignore]",
)
@click.option(
    "--max-retries",
    type=NumberType(min=0),
    metavar="N",
    help="The number of attempts, including the first.  [default: 3]",
)
@click.option(
    "--retry-backoff",
    type=BACKOFF,
    help="How the delay grows from attempt to attempt.  [default: exponential]",
)
@click.option(
    "--retry-base-delay",
    type=SPAN,
    metavar="DURATION",
    help="The delay before the second attempt.  [default: 5s]",
)
@click.option(
    "--retry-max-delay",
    type=SPAN,
    metavar="DURATION",
    help="The maximum delay between attempts.  [default: 10m]",
)
@click.option(
    "--scheduled-at",
    type=COMING_TIME,
    metavar="TIME",
    help="Run the job no earlier than this time, e.g. 2026-01-31T08:00:00Z, 2026-01-31 (UTC) or "
    "+1h.  [default: now]",
)
@click.option(
    "--delay",
    type=SPAN,
    metavar="DURATION",
    help="Run the job no earlier than this long from now, e.g. 10m.",
)
@click.option(
    "--expire-after",
    type=SPAN,
    metavar="DURATION",
    help="The job becomes dead if it has not finished within this time.",
)
@click.option(
    "--tag",
    "tags",
    type=TAG,
    multiple=True,
    callback=tags_of,
    metavar="KEY=VALUE",
    help="Add a tag, e.g. tenant=acme. Repeat the option for several tags.",
)
@click.option(
    "--concurrency-key",
    metavar="KEY",
    help="A key that `corvo concurrency --per-key` limits, e.g. a tenant.",
)
@click.option(
    "--job-id",
    metavar="ID",
    help="The id of the job: job_ and a ULID. A second enqueue with the same id has no effect.",
)
@click.option("--wait", is_flag=True, help="Wait until the job has ended, then show it.")
@click.option(
    "--wait-timeout",
    type=DURATION,
    metavar="DURATION",
    help="The maximum time to wait. Implies --wait.",
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
    **options: "Unpack[EnqueueOptions]",
) -> None:
    """Enqueue a job.

    PAYLOAD is JSON: a literal, @FILE, or - for stdin. The default is {}. The server stores it
    unchanged. A DURATION is e.g. 250ms, 5s, 1h30m or 7d; a bare number is seconds.

    An option that is not given has the default of the queue, if it has one. If a worker of the
    queue has published a schema that the payload does not match, a warning is printed.

    Prints the id of the job. With --wait, prints the job after its end. The exit code is then 0 if
    the job is completed, 1 if it is dead or cancelled, and 7 if --wait-timeout has passed.
    """
    document = read_payload(payload)
    request = corvo_client.calls.enqueue_request(queue, document, options)
    reply = session.ask(corvo_client.calls.enqueue(request))
    warn_of_differences(session, queue, document)
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
            f"Stopped waiting. {reply.value.job_id} continues; see `corvo inspect`.",
            ExitCode.INTERRUPTED,
        ) from None
    session.output.one(ended.body, lambda: job_view(ended.value, ended.body, session.now()))
    check_end(ended.value, wait_timeout)


def _outcome(queue: str, reply: "EnqueueReply") -> str:
    """Return the outcome of the enqueue as a message."""
    if not reply.unique_existing:
        return f"enqueued in {queue}, {reply.status}"
    match reply.status:
        case "replaced":
            return f"the job in {queue} with this unique key was replaced"
        case "rescheduled":
            return f"the job in {queue} with this unique key was rescheduled"
        case _:
            return f"not enqueued: a job in {queue} already has this unique key"
