"""The table of bulk operations."""

from corvo_schema import BulkStatus
from corvo_server.store.bulk import BulkRecord
from corvo_server.store.postgres.pending import PendingJobs
from corvo_server.store.postgres.pipeline import Pipeline
from corvo_server.store.postgres.rows import SQL, Row, storable


class Bulks:
    """Implements `store.commit.tables.BulkTable`."""

    def __init__(self, pipeline: Pipeline, pending: PendingJobs) -> None:
        self._pipeline = pipeline
        self._pending = pending

    def find(self, bulk_id: str) -> BulkRecord | None:
        rows = self._pipeline.ask(SQL.lock_bulk, (storable(bulk_id),))
        return _to_bulk(rows[0]) if rows else None

    def save(self, record: BulkRecord) -> None:
        values = (
            record.id,
            record.request,
            record.action,
            record.status.value,
            record.total,
            record.processed,
            record.affected,
            record.errors,
            record.error,
            record.cursor,
            record.last_seq,
            record.created_at,
            record.updated_at,
            record.finished_at,
        )
        self._pipeline.write(SQL.save_bulk, values)
        self._pending.forget_limits()

    def prune(self, before: int, limit: int) -> int:
        return self._pipeline.count(SQL.prune_bulks, (before, limit))


def find_bulk(pipeline: Pipeline, bulk_id: str) -> BulkRecord | None:
    """Return a bulk operation by its id; None if it does not exist."""
    rows = pipeline.ask(SQL.find_bulk, (storable(bulk_id),))
    return _to_bulk(rows[0]) if rows else None


def list_bulks(pipeline: Pipeline, limit: int) -> list[BulkRecord]:
    """Return up to `limit` bulk operations, newest first, without most of their `request`."""
    return [_to_bulk(row) for row in pipeline.ask(SQL.list_bulks, (limit,))]


def next_bulk(pipeline: Pipeline) -> BulkRecord | None:
    """Return the oldest bulk operation that is not finished; None if there is none."""
    rows = pipeline.ask(SQL.next_bulk)
    return _to_bulk(rows[0]) if rows else None


def _to_bulk(row: Row) -> BulkRecord:
    values = list(row)
    values[3] = BulkStatus(row[3])
    return BulkRecord(*values)
