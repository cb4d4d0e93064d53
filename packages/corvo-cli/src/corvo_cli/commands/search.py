"""`corvo search`."""

from typing import Any

import click

from corvo_cli.command import Command
from corvo_cli.filters import filter_options, take_filters
from corvo_cli.pages import Wish, matches, print_ids, print_pages
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
    "--sort", type=click.Choice(SORTS), default="created_at", show_default=True, help="By what."
)
@click.option(
    "--order", type=click.Choice(["desc", "asc"]), default="desc", show_default=True, help="How."
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many jobs to show at most.  [default: 50]",
)
@click.option("--all", "wants_all", is_flag=True, help="Show all that match.")
@click.option("--cursor", metavar="CURSOR", help="Go on where an earlier search has ended.")
@click.option("--ids", "wants_ids", is_flag=True, help="Print nothing but ids, one a line.")
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
    """Find jobs by what is known of them.

    Jobs match that pass every filter given; texts are plain, without wildcards. A TIME is like
    2026-01-31T08:00:00Z, or a duration: 1h means an hour ago, +1h in an hour.

    As JSON, the page as the server sent it; one object with the jobs of all pages where it takes
    more than one. As jsonl, a job on each line.
    """
    if wants_all and limit is not None:
        raise click.UsageError("Give either --limit or --all.")
    wish = Wish(
        filters=take_filters(options),
        sort=sort,
        order=order,
        limit=None if wants_all else limit or 50,
        cursor=cursor,
    )
    last = (print_ids if wants_ids else print_pages)(session, wish)
    if last.has_more and session.output.format is not Format.JSON:
        session.output.say(
            f"Stopped after {wish.limit:,} of {matches(last)} that match. For all: --all. "
            f"For the next: --cursor {last.cursor}"
        )
    elif not (last.jobs or session.output.is_json or wants_ids):
        session.output.say("No job matches.")
