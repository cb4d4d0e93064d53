"""`corvo events`."""

import contextlib
from itertools import islice

import click

import corvo_client
from corvo_cli.command import Command
from corvo_cli.human import moment
from corvo_cli.json_text import one_line
from corvo_cli.parameters import QUEUE
from corvo_cli.session import Session, pass_session
from corvo_cli.show.job_view import event_details
from corvo_cli.show.views import Cell, state

TYPES = [
    "enqueued",
    "promoted",
    "started",
    "progress",
    "completed",
    "retrying",
    "dead",
    "reclaimed",
    "released",
    "expired",
    "cancel_requested",
    "cancelled",
    "retried",
    "requeued",
    "replaced",
    "rescheduled",
    "moved",
    "priority_changed",
    "deleted",
    "pruned",
]
_WIDTHS = (24, max(map(len, TYPES)), 16, 30)


@click.command(
    cls=Command,
    examples="""
    corvo events --queue emails --type dead --type retrying
    corvo events --job job_01JD3Z9W6V7Q5X8M2N4P6R8T0B --after 0
    corvo events --output jsonl | jq -r 'select(.type == "dead").job_id'
    corvo events --type completed --limit 1         wait for the next job to complete
    """,
)
@click.option("--queue", "queues", type=QUEUE, multiple=True, help="Of this queue; repeatable.")
@click.option("--job", "job_ids", metavar="ID", multiple=True, help="Of this job; repeatable.")
@click.option(
    "--type",
    "types",
    type=click.Choice(TYPES),
    multiple=True,
    metavar="TYPE",
    help=f"Of this type; repeatable.  [{', '.join(TYPES)}]",
)
@click.option(
    "--after",
    type=click.IntRange(min=0),
    metavar="ID",
    help="Begin after this event, as far back as the log goes: 0 for all of it.  [default: now]",
)
@click.option("-f", "--follow", is_flag=True, help="Wait for more, which is what happens anyway.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="End after so many events.")
@pass_session
def events(
    session: Session,
    /,
    *,
    queues: tuple[str, ...],
    job_ids: tuple[str, ...],
    types: tuple[str, ...],
    after: int | None,
    follow: bool,
    limit: int | None,
) -> None:
    """Follow what happens to jobs.

    From now on, until Ctrl-C. A connection that breaks is made again, and nothing is missed. As
    JSON, an event on each line, in either format.
    """
    calls = corvo_client.calls
    stream = calls.follow_events(queues=queues, job_ids=job_ids, types=types, after=after)
    output = session.output
    with contextlib.closing(session.client.follow(calls.exact_stream(stream))) as found:
        for event in islice(found, limit):
            if output.is_json:
                output.lines([one_line(event.body.decode())])
                continue
            value = event.value
            cells = (
                Cell(moment(value.created_at)),
                state(value.type),
                Cell(value.queue),
                Cell(value.job_id),
                Cell(event_details(value.data)),
            )
            output.row(cells, _WIDTHS)
