"""The table of workers."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from corvo_cli.human import age
from corvo_cli.show.views import Cell, Column, Table, View, state

if TYPE_CHECKING:
    from corvo_client import WorkerInfo


def workers_view(workers: "Sequence[WorkerInfo]", now: datetime) -> View:
    """Return a table with a row for each worker."""
    columns = [
        Column("WORKER"),
        Column("HOST"),
        Column("STATUS"),
        Column("ACTIVE", is_number=True),
        Column("LAST HEARTBEAT"),
        Column("LAST FETCH"),
        Column("STARTED"),
        Column("QUEUES", can_shrink=True),
    ]
    rows = [
        (
            Cell(worker.id),
            Cell(worker.hostname),
            state(worker.status),
            Cell(worker.active_jobs),
            Cell(age(worker.last_heartbeat, now)),
            Cell(age(worker.last_fetch, now)),
            Cell(age(worker.started_at, now)),
            Cell(", ".join(worker.queues)),
        )
        for worker in workers
    ]
    return [Table(columns, rows)]
