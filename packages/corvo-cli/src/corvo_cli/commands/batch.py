"""`corvo batch` and `corvo batches`."""

import click

import corvo_client
from corvo_cli.command import Command
from corvo_cli.parameters import Choice, NumberType
from corvo_cli.session import Session, pass_session
from corvo_cli.show.batch_view import batch_view, batches_view
from corvo_cli.show.output import Format


@click.command(cls=Command, examples="corvo batch batch_01JD3Z9W6V7Q5X8M2N4P6R8T0B")
@click.argument("batch_id")
@pass_session
def batch(session: Session, batch_id: str) -> None:
    """Show the progress of a batch.

    Shows the number of jobs by outcome, and the callback job once all jobs have ended.
    """
    reply = session.ask(corvo_client.calls.get_batch(batch_id))
    session.output.one(reply.body, lambda: batch_view(reply.value, session.now()))


@click.command(
    cls=Command,
    examples="""
    corvo batches --state running
    corvo batches --limit 1000 -o jsonl | jq -r 'select(.failed > 0).id'
    """,
)
@click.option(
    "--state", type=Choice(["running", "finished"]), help="List only batches in this state."
)
@click.option(
    "--limit",
    type=NumberType(1, 1000),
    default=50,
    show_default=True,
    metavar="N",
    help="The maximum number of batches.",
)
@click.option(
    "--cursor", metavar="CURSOR", help="Continue after the page that printed this cursor."
)
@pass_session
def batches(session: Session, state: str | None, limit: int, cursor: str | None) -> None:
    """List the batches, newest first.

    A batch is `running` until all its jobs have ended, then `finished`.
    """
    call = corvo_client.calls.list_batches(
        state,  # type: ignore[arg-type]  # one of click's choices
        limit=limit,
        cursor=cursor,
    )
    reply = session.ask(call)
    page = reply.value
    if page.batches or session.output.is_json:
        session.output.many(
            reply.body, lambda: batches_view(page.batches, session.now()), member="batches"
        )
    else:
        session.output.say("There are no batches.")
    if page.has_more and session.output.format is not Format.JSON:
        session.output.say(f"There are more batches. Continue with --cursor {page.cursor}")
