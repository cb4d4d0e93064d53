"""The table of bulk operations."""

import sqlite3

from corvo_schema import BulkStatus
from corvo_server.store.bulk import BulkRecord
from corvo_server.store.sqlite.rows import SQL, Row


class Bulks:
    """Implements `store.commit.tables.BulkTable`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def find(self, bulk_id: str) -> BulkRecord | None:
        return find_bulk(self._connection, bulk_id)

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
        self._connection.execute(SQL.save_bulk, values)

    def prune(self, before: int, limit: int) -> int:
        return self._connection.execute(SQL.prune_bulks, (before, limit)).rowcount


def find_bulk(connection: sqlite3.Connection, bulk_id: str) -> BulkRecord | None:
    """Return a bulk operation by its id; None if it does not exist."""
    row = connection.execute(SQL.find_bulk, (bulk_id,)).fetchone()
    return None if row is None else _to_bulk(row)


def list_bulks(connection: sqlite3.Connection, limit: int) -> list[BulkRecord]:
    """Return up to `limit` bulk operations, newest first, without most of their `request`."""
    return [_to_bulk(row) for row in connection.execute(SQL.list_bulks, (limit,))]


def next_bulk(connection: sqlite3.Connection) -> BulkRecord | None:
    """Return the oldest bulk operation that is not finished; None if there is none."""
    row = connection.execute(SQL.next_bulk).fetchone()
    return None if row is None else _to_bulk(row)


def _to_bulk(row: Row) -> BulkRecord:
    values = list(row)
    values[3] = BulkStatus(row[3])
    return BulkRecord(*values)
