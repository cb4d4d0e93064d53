"""`corvo batch` and `corvo batches`."""

import click

import corvo_client
from corvo_cli.command import Command
from corvo_cli.session import Session, pass_session
from corvo_cli.show.batch_view import batch_view, batches_view
from corvo_cli.show.output import Format


@click.command(cls=Command, examples="corvo batch batch_01JD3Z9W6V7Q5X8M2N4P6R8T0B")
@click.argument("batch_id")
@pass_session
def batch(session: Session, batch_id: str) -> None:
    """Show how far a batch is.

    How many of its jobs have ended and how, and the job that was enqueued after the last of them.
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
@click.option("--state", type=click.Choice(["running", "finished"]), help="Only of these.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=50,
    show_default=True,
    metavar="N",
    help="How many to show at most.",
)
@click.option("--cursor", metavar="CURSOR", help="Go on where an earlier list has ended.")
@pass_session
def batches(session: Session, state: str | None, limit: int, cursor: str | None) -> None:
    """List the batches, the newest first.

    A batch is `running` until all its jobs have ended.
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
        session.output.say(f"There are more. For the next: --cursor {page.cursor}")
