"""Bulk operations: their progress is written with the jobs that it counts."""

import sqlite3

from msgspec.structs import replace

from corvo_schema import BulkStatus
from corvo_server.store.bulk import UNENDED, BulkEdit, BulkOutcome, BulkRecord, BulkStep
from corvo_server.store.records import Change, Refusal, Removal
from corvo_server.store.sqlite.jobs import transition
from corvo_server.store.sqlite.rows import SQL, Row
from corvo_server.store.sqlite.transaction import Transaction


def edit(tx: Transaction, edits: list[BulkEdit]) -> list[BulkOutcome]:
    """Change each bulk operation as its rule decides."""
    return [_edit(tx, request) for request in edits]


def _edit(tx: Transaction, request: BulkEdit) -> BulkOutcome:
    outcome = request.decide(find_bulk(tx.connection, request.id))
    if isinstance(outcome, BulkRecord):
        _save(tx, outcome)
    return outcome


def step(tx: Transaction, steps: list[BulkStep]) -> list[BulkRecord | None]:
    """Do a chunk of each, unless it has ended meanwhile; None when it is gone."""
    return [_step(tx, chunk) for chunk in steps]


def _step(tx: Transaction, chunk: BulkStep) -> BulkRecord | None:
    record = find_bulk(tx.connection, chunk.id)
    if record is None or record.status not in UNENDED:
        return record
    (outcomes,) = transition(tx, [chunk.transitions])
    after = replace(
        record,
        status=BulkStatus.COMPLETED if chunk.is_last else BulkStatus.RUNNING,
        processed=record.processed + len(outcomes),
        affected=record.affected + sum(isinstance(o, Change | Removal) for o in outcomes),
        errors=record.errors + sum(isinstance(o, Refusal) for o in outcomes),
        cursor=chunk.cursor,
        updated_at=chunk.now,
        finished_at=chunk.now if chunk.is_last else None,
    )
    _save(tx, after)
    return after


def _save(tx: Transaction, record: BulkRecord) -> None:
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
    tx.connection.execute(SQL.save_bulk, values)


def find_bulk(connection: sqlite3.Connection, bulk_id: str) -> BulkRecord | None:
    """One bulk operation."""
    row = connection.execute(SQL.find_bulk, (bulk_id,)).fetchone()
    return None if row is None else _to_bulk(row)


def list_bulks(connection: sqlite3.Connection, limit: int) -> list[BulkRecord]:
    """The newest bulk operations first."""
    return [_to_bulk(row) for row in connection.execute(SQL.list_bulks, (limit,))]


def next_bulk(connection: sqlite3.Connection) -> BulkRecord | None:
    """The oldest bulk operation that has not ended."""
    row = connection.execute(SQL.next_bulk).fetchone()
    return None if row is None else _to_bulk(row)


def _to_bulk(row: Row) -> BulkRecord:
    values = list(row)
    values[3] = BulkStatus(row[3])
    return BulkRecord(*values)
