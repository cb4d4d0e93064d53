"""Views of batches."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from corvo_cli.human import age, moment
from corvo_cli.show.views import Cell, Column, Fields, Table, View, state

if TYPE_CHECKING:
    from corvo_client import Batch


def batches_view(batches: "Sequence[Batch]", now: datetime) -> View:
    """Return a table with a row for each batch."""
    columns = [
        Column("BATCH"),
        Column("STATE"),
        Column("JOBS", is_number=True),
        Column("PENDING", is_number=True),
        Column("SUCCEEDED", is_number=True),
        Column("FAILED", is_number=True),
        Column("CANCELLED", is_number=True),
        Column("CREATED"),
        Column("CALLBACK", can_shrink=True),
    ]
    rows = [
        (
            Cell(batch.id),
            state(batch.state),
            Cell(f"{batch.total:,}"),
            Cell(f"{batch.pending:,}"),
            Cell(f"{batch.succeeded:,}"),
            Cell(f"{batch.failed:,}"),
            Cell(f"{batch.cancelled:,}"),
            Cell(age(batch.created_at, now)),
            Cell(batch.callback_queue),
        )
        for batch in batches
    ]
    return [Table(columns, rows)]


def batch_view(batch: "Batch", now: datetime) -> View:
    """Return the fields of one batch, with its progress."""
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
