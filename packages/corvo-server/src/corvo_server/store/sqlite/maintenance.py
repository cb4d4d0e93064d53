"""The server's own work on jobs whose time has come, a chunk at a time."""

import sqlite3

from corvo_schema.states import EventType, JobState
from corvo_server.store.codes import STATE_CODES
from corvo_server.store.records import Change, JobHead, Maintain, NextTimes, Prune
from corvo_server.store.sqlite.rows import SQL, fetch_one, to_head
from corvo_server.store.sqlite.transaction import Transaction


def promote(tx: Transaction, chunks: list[Maintain]) -> list[int]:
    """Move scheduled and retrying jobs that are due."""
    return [_move_all(tx, SQL.due_heads, chunk) for chunk in chunks]


def reclaim(tx: Transaction, chunks: list[Maintain]) -> list[int]:
    """Move active jobs whose lease has ended."""
    return [_move_all(tx, SQL.lapsed_heads, chunk) for chunk in chunks]


def expire(tx: Transaction, chunks: list[Maintain]) -> list[int]:
    """Move waiting jobs that are past their `expire_at`."""
    return [_move_all(tx, SQL.expired_heads, chunk) for chunk in chunks]


def _move_all(tx: Transaction, statement: str, chunk: Maintain) -> int:
    rows = tx.connection.execute(statement, (chunk.now, chunk.limit)).fetchall()
    changes: list[tuple[JobHead, Change]] = []
    for head in map(to_head, rows):
        change = chunk.decide(head)
        tx.record(head, change)
        changes.append((head, change))
    tx.write(changes)
    return len(changes)


def prune(tx: Transaction, requests: list[Prune]) -> list[int]:
    """Remove a chunk of what is old: finished jobs, events, lapsed locks, batches without jobs."""
    return [
        _prune_jobs(tx, request) + _prune_events(tx, request) + _prune_rest(tx, request)
        for request in requests
    ]


def _prune_jobs(tx: Transaction, request: Prune) -> int:
    pruned = 0
    for state, before in (
        (JobState.COMPLETED, request.finished_before),
        (JobState.CANCELLED, request.finished_before),
        (JobState.DEAD, request.dead_before),
    ):
        if before is None:
            continue
        rows = tx.connection.execute(
            SQL.prunable_heads, (STATE_CODES[state], before, request.limit - pruned)
        ).fetchall()
        tx.remove(
            [to_head(row) for row in rows], EventType.PRUNED, request.now, "retention is over"
        )
        pruned += len(rows)
    return pruned


def _prune_events(tx: Transaction, request: Prune) -> int:
    if request.events_before is None:
        return 0
    values = (request.limit, request.events_before)
    return tx.connection.execute(SQL.prune_events, values).rowcount


def _prune_rest(tx: Transaction, request: Prune) -> int:
    pruned = tx.connection.execute(SQL.prune_locks, (request.now, request.limit)).rowcount
    if request.finished_before is not None:
        values = (request.finished_before, request.limit)
        pruned += tx.connection.execute(SQL.prune_batches, values).rowcount
        pruned += tx.connection.execute(SQL.prune_bulks, values).rowcount
    return pruned


def next_times(connection: sqlite3.Connection) -> NextTimes:
    """The earliest due time, lease end and expiry of all stored jobs, and slot of schedules."""
    return NextTimes(
        *(
            fetch_one(connection, statement)[0]
            for statement in (SQL.next_due, SQL.next_lease_end, SQL.next_expiry, SQL.next_slot)
        )
    )
