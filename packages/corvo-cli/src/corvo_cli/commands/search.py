"""`corvo search`."""

from typing import Any

import click

from corvo_cli.command import Command
from corvo_cli.filters import filter_options, take_filters
from corvo_cli.pages import SearchQuery, matches, print_ids, print_pages
from corvo_cli.parameters import Choice, NumberType
from corvo_cli.queue_names import unknown_queue
from corvo_cli.session import Session, pass_session
from corvo_cli.show.output import Format

SORTS = [
    "created_at",
    "scheduled_at",
    "started_at",
    "completed_at",
    "failed_at",
    "priority",
    "attempt",
    "queue",
    "state",
]
_EXAMPLES = """
    corvo search --queue emails --state dead --state cancelled
    corvo search --error-contains timeout --created-after 1h
    corvo search --payload-jq '.user.id == 7 and .total > 100' --sort failed_at
    corvo search --tag tenant=acme --all --output jsonl | jq -r .payload.to
    corvo search --state dead --all --ids | corvo bulk retry
"""


@click.command(cls=Command, examples=_EXAMPLES)
@filter_options
@click.option(
    "--sort",
    type=Choice(SORTS),
    default="created_at",
    show_default=True,
    help="The sort key.",
)
@click.option(
    "--order",
    type=Choice(["desc", "asc"]),
    default="desc",
    show_default=True,
    help="The sort order, descending or ascending.",
)
@click.option(
    "--limit",
    type=NumberType(min=1),
    metavar="N",
    help="The maximum number of jobs to show.  [default: 50]",
)
@click.option("--all", "wants_all", is_flag=True, help="Show all jobs that match.")
@click.option(
    "--cursor", metavar="CURSOR", help="Continue after the page that printed this cursor."
)
@click.option("--ids", "wants_ids", is_flag=True, help="Print only job ids, one per line.")
@pass_session
def search(
    session: Session,
    /,
    *,
    sort: str,
    order: str,
    limit: int | None,
    wants_all: bool,
    cursor: str | None,
    wants_ids: bool,
    **options: Any,
) -> None:
    """Search for jobs with filters.

    A job must match all filters. Texts have no wildcards. A TIME is e.g. 2026-01-31T08:00:00Z,
    or 2026-01-31 (UTC), or relative to now: 1h is an hour ago, +1h is in an hour.

    Without --limit, a terminal gets the first 50 jobs. The output of --ids or jsonl to a file or a
    pipe has all of them, so that `corvo search --ids | corvo bulk` acts on all that matched.

    The format json prints the server's page, or one object with the jobs of all pages if there are
    several. The format jsonl prints one job per line.
    """
    if wants_all and limit is not None:
        raise click.UsageError("Give either --limit or --all, not both.")
    output = session.output
    is_for_a_program = (
        not output.is_terminal
        and (wants_ids or output.format is Format.JSONL)
        and limit is None
        and cursor is None
    )
    query = SearchQuery(
        filters=take_filters(options),
        sort=sort,
        order=order,
        limit=None if wants_all or is_for_a_program else limit or 50,
        cursor=cursor,
    )
    last = (print_ids if wants_ids else print_pages)(session, query)
    if last.has_more and output.format is not Format.JSON:
        output.say(
            f"Showed {query.limit:,} of {matches(last)} that match. Show all with --all, or "
            f"continue with --cursor {last.cursor}"
        )
    elif last.total == 0:
        unknown = unknown_queue(session, query.filters)
        if unknown or not (output.is_json or wants_ids):
            output.say(unknown or "No job matches.")
