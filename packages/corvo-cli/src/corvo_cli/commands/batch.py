"""`corvo batch`."""

from datetime import datetime
from typing import TYPE_CHECKING

import click

import corvo_client
from corvo_cli.command import Command
from corvo_cli.human import moment
from corvo_cli.session import Session, pass_session
from corvo_cli.show.views import Cell, Fields, View, state

if TYPE_CHECKING:
    from corvo_client import Batch


@click.command(cls=Command, examples="corvo batch batch_01JD3Z9W6V7Q5X8M2N4P6R8T0B")
@click.argument("batch_id")
@pass_session
def batch(session: Session, batch_id: str) -> None:
    """Show how far a batch is.

    How many of its jobs have ended and how, and the job that was enqueued after the last of them.
    """
    reply = session.ask(corvo_client.calls.get_batch(batch_id))
    session.output.one(reply.body, lambda: _view(reply.value, session.now()))


def _view(batch: "Batch", now: datetime) -> View:
    callback = " ".join(filter(None, [batch.callback_job_id, f"in {batch.callback_queue}"]))
    ended = batch.total - batch.pending
    share = f"{ended / batch.total:.0%} of " if batch.total else ""
    return [
        Fields(
            [
                ("id", Cell(batch.id)),
                ("state", state(batch.state)),
                ("ended", Cell(f"{share}{batch.total:,}")),
                ("succeeded", Cell(f"{batch.succeeded:,}")),
                ("failed", Cell(f"{batch.failed:,}")),
                ("cancelled", Cell(f"{batch.cancelled:,}")),
                ("pending", Cell(f"{batch.pending:,}")),
                ("callback", Cell(callback if batch.callback_queue else None)),
                ("created", Cell(moment(batch.created_at, now))),
                ("finished", Cell(moment(batch.finished_at, now))),
            ]
        )
    ]
