"""The table of batches."""

import json
import sqlite3
from collections.abc import Sequence

from corvo_schema import BatchState
from corvo_server.store.batches import BatchRecord
from corvo_server.store.commit.tables import BatchCount, EndedBatch
from corvo_server.store.records import NewBatch
from corvo_server.store.sqlite.rows import SQL

_AFTER_ALL = "~"
"""A text that sorts after every batch id."""
_LISTS = {
    None: SQL.list_batches,
    BatchState.RUNNING: SQL.list_running_batches,
    BatchState.FINISHED: SQL.list_finished_batches,
}


class Batches:
    """Implements `store.commit.tables.BatchTable`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def insert(self, batch: NewBatch, total: int) -> None:
        values = (
            batch.id,
            total,
            batch.callback_queue,
            batch.callback_job_id,
            batch.callback_payload,
            batch.created_at,
            batch.charged_to,
        )
        self._connection.execute(SQL.insert_batch, values)

    def count(self, counts: list[BatchCount]) -> list[EndedBatch]:
        execute = self._connection.execute
        ended = []
        for batch_id, succeeded, failed, cancelled, ended_at in counts:
            execute(SQL.count_batch, (succeeded, failed, cancelled, batch_id))
            row = execute(SQL.finish_batch, (ended_at, batch_id)).fetchone()
            if row is not None:
                ended.append(EndedBatch(batch_id, ended_at, *row))
        return ended

    def prune(self, before: int, limit: int) -> int:
        return self._connection.execute(SQL.prune_batches, (before, limit)).rowcount


def find_batch(connection: sqlite3.Connection, batch_id: str) -> BatchRecord | None:
    """Return a batch with its counts; None if it does not exist."""
    row = connection.execute(SQL.find_batch, (batch_id,)).fetchone()
    return None if row is None else BatchRecord(*row)


def list_batches(
    connection: sqlite3.Connection, before: str | None, limit: int, state: BatchState | None
) -> list[BatchRecord]:
    """Return up to `limit` batches in `state` (None: any), newest first.

    `before` is a batch id: only older batches are returned.
    """
    values = (_AFTER_ALL if before is None else before, limit)
    return [BatchRecord(*row) for row in connection.execute(_LISTS[state], values)]


def queues_of_batches(
    connection: sqlite3.Connection, batch_ids: Sequence[str]
) -> dict[str, set[str]]:
    """Return the queues of the stored jobs of batches, by batch."""
    queues: dict[str, set[str]] = {}
    for batch_id, queue in connection.execute(SQL.queues_of_batches, (json.dumps([*batch_ids]),)):
        queues.setdefault(batch_id, set()).add(queue)
    return queues
