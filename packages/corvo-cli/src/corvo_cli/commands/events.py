"""`corvo events`."""

import contextlib
from itertools import islice

import click

import corvo_client
from corvo_cli.command import Command
from corvo_cli.human import moment
from corvo_cli.json_text import one_line
from corvo_cli.parameters import QUEUE, Choice, NumberType
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
@click.option(
    "--queue",
    "queues",
    type=QUEUE,
    multiple=True,
    help="Show events of this queue. Repeat the option for several queues.  [default: all]",
)
@click.option(
    "--job",
    "job_ids",
    metavar="ID",
    multiple=True,
    help="Show events of this job. Repeat the option for several jobs.  [default: all]",
)
@click.option(
    "--type",
    "types",
    type=Choice(TYPES),
    multiple=True,
    metavar="TYPE",
    help="Show events of this type. Repeat the option for several types.  "
    f"[{', '.join(TYPES)}; default: all]",
)
@click.option(
    "--after",
    type=NumberType(min=0),
    metavar="ID",
    help="Start after the event with this id. 0 is the start of the event log.  [default: now]",
)
@click.option(
    "-f",
    "--follow",
    is_flag=True,
    help="Wait for new events. The command always does; the option has no further effect.",
)
@click.option(
    "--limit",
    type=NumberType(min=1),
    metavar="N",
    help="Exit after this number of events.  [default: no limit]",
)
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
    """Follow the events of jobs.

    Prints events until Ctrl-C. After a lost connection, the command connects again and continues
    without a gap. The formats json and jsonl both print one event per line.
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
