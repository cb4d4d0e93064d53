"""The table of batches."""

from collections.abc import Sequence

from corvo_schema import BatchState
from corvo_server.store.batches import BatchRecord
from corvo_server.store.commit.tables import BatchCount, EndedBatch
from corvo_server.store.postgres.pipeline import Pipeline
from corvo_server.store.postgres.rows import SQL, as_json, storable
from corvo_server.store.records import NewBatch

_AFTER_ALL = "~"
"""A text that sorts after every batch id."""
_LISTS = {
    None: SQL.list_batches,
    BatchState.RUNNING: SQL.list_running_batches,
    BatchState.FINISHED: SQL.list_finished_batches,
}


class Batches:
    """Implements `store.commit.tables.BatchTable`."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

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
        self._pipeline.write(SQL.insert_batch, values)

    def count(self, counts: list[BatchCount]) -> list[EndedBatch]:
        self._pipeline.has_written = True
        self._pipeline.send(SQL.lock_batches, (as_json(count.batch_id for count in counts),))
        rows = [
            {
                "id": count.batch_id,
                "succeeded": count.succeeded,
                "failed": count.failed,
                "cancelled": count.cancelled,
                "ended_at": count.ended_at,
            }
            for count in counts
        ]
        counted = self._pipeline.ask(SQL.count_batches, (as_json(rows),))
        ended = {row[0]: EndedBatch(*row) for *row, has_ended in counted if has_ended}
        # In the order in which the batches ended; the database returns rows in any order.
        return [ended[count.batch_id] for count in counts if count.batch_id in ended]

    def prune(self, before: int, limit: int) -> int:
        return self._pipeline.count(SQL.prune_batches, (before, limit))


def find_batch(pipeline: Pipeline, batch_id: str) -> BatchRecord | None:
    """Return a batch with its counts; None if it does not exist."""
    rows = pipeline.ask(SQL.find_batch, (storable(batch_id),))
    return BatchRecord(*rows[0]) if rows else None


def list_batches(
    pipeline: Pipeline, before: str | None, limit: int, state: BatchState | None
) -> list[BatchRecord]:
    """Return up to `limit` batches in `state` (None: any), newest first.

    `before` is a batch id: only older batches are returned.
    """
    values = (_AFTER_ALL if before is None else before, limit)
    return [BatchRecord(*row) for row in pipeline.ask(_LISTS[state], values)]


def queues_of_batches(pipeline: Pipeline, batch_ids: Sequence[str]) -> dict[str, set[str]]:
    """Return the queues of the stored jobs of batches, by batch."""
    queues: dict[str, set[str]] = {}
    for batch_id, queue in pipeline.ask(SQL.queues_of_batches, (as_json(batch_ids),)):
        queues.setdefault(batch_id, set()).add(queue)
    return queues
