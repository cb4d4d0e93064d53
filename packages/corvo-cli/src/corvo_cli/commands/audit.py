"""`corvo audit`."""

import click

import corvo_client
from corvo_cli.command import Command
from corvo_cli.parameters import QUEUE, TIME, NumberType
from corvo_cli.session import Session, pass_session
from corvo_cli.show.audit_view import audit_view
from corvo_cli.show.output import Format


@click.command(
    cls=Command,
    examples="""
    corvo audit --by alice --queue emails --since 1d
    corvo audit --target job_01JD3Z9W6V7Q5X8M2N4P6R8T0B
    corvo audit --operation delete_queue --limit 1000 -o jsonl | jq -r '[.at, .by, .target] | @tsv'
    """,
)
@click.option("--by", metavar="NAME", help="List only calls with the API key of this name.")
@click.option("--queue", type=QUEUE, help="List only calls on this queue.")
@click.option(
    "--operation", metavar="OPERATION", help="List only this operation, e.g. pause_queue."
)
@click.option(
    "--target",
    metavar="TARGET",
    help="List only calls on this job, bulk operation, key, queue or schedule.",
)
@click.option("--since", type=TIME, metavar="TIME", help="List only calls since this time.")
@click.option("--until", type=TIME, metavar="TIME", help="List only calls before this time.")
@click.option(
    "--limit",
    type=NumberType(1, 1000),
    default=50,
    show_default=True,
    metavar="N",
    help="The maximum number of entries.",
)
@click.option(
    "--cursor", metavar="CURSOR", help="Continue after the page that printed this cursor."
)
@pass_session
def audit(
    session: Session,
    *,
    by: str | None,
    queue: str | None,
    operation: str | None,
    target: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    cursor: str | None,
) -> None:
    """List who changed or configured what, newest first.

    Needs a key with the role admin or operator. Only an admin sees the entries of API keys.
    """
    call = corvo_client.calls.list_audit(
        by=by,
        queue=queue,
        operation=operation,
        target=target,
        since=since,
        until=until,
        limit=limit,
        cursor=cursor,
    )
    reply = session.ask(call)
    page = reply.value
    if page.entries or session.output.is_json:
        session.output.many(
            reply.body, lambda: audit_view(page.entries, session.now()), member="entries"
        )
    else:
        session.output.say("There are no such entries.")
    if page.has_more and session.output.format is not Format.JSON:
        session.output.say(f"There are more entries. Continue with --cursor {page.cursor}")
