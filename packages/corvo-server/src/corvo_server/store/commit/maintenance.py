"""The verbs of maintenance: promote, reclaim, expire and prune, one chunk per request."""

from collections.abc import Callable

from corvo_schema.states import EventType, JobState
from corvo_server.store.commit.transaction import Transaction
from corvo_server.store.records import Change, JobHead, Maintain, Prune

_EVENTS_OF_A_JOB = 8
"""Events to prune per pruned job. Most jobs have fewer, so events are pruned at least as fast."""


def promote(tx: Transaction, chunks: list[Maintain]) -> list[int]:
    """Move scheduled and retrying jobs that are due. Return the number of jobs per chunk."""
    return [_promote(tx, chunk) for chunk in chunks]


def reclaim(tx: Transaction, chunks: list[Maintain]) -> list[int]:
    """Move active jobs whose lease has ended. Return the number of jobs per chunk."""
    return [_find_and_move(tx, tx.tables.jobs.lapsed, chunk) for chunk in chunks]


def expire(tx: Transaction, chunks: list[Maintain]) -> list[int]:
    """Move unfinished jobs that are past their `expire_at`. Return the number of jobs per chunk."""
    return [_find_and_move(tx, tx.tables.jobs.expired, chunk) for chunk in chunks]


def _promote(tx: Transaction, chunk: Maintain) -> int:
    due = tx.tables.jobs.due(chunk.now, chunk.limit)
    late = [chunk.now - head.scheduled_at for head in due if head.scheduled_at is not None]
    tx.commit.promoted_late += late
    return _move(tx, due, chunk)


def _find_and_move(
    tx: Transaction, find: Callable[[int, int], list[JobHead]], chunk: Maintain
) -> int:
    return _move(tx, find(chunk.now, chunk.limit), chunk)


def _move(tx: Transaction, heads: list[JobHead], chunk: Maintain) -> int:
    changes: list[Change] = []
    for head in heads:
        change = chunk.decide(head)
        tx.record(head, change)
        changes.append(change)
    tx.write(changes)
    return len(changes)


def prune(tx: Transaction, requests: list[Prune]) -> list[int]:
    """Delete a chunk of each kind of old row. Return the number of deleted rows per request.

    The kinds are finished jobs, events, entries of the audit log, expired unique locks, batches
    without jobs, ended bulk operations, and the counters of nodes without recent heartbeats.
    """
    return [
        _prune_jobs(tx, request) + _prune_logs(tx, request) + _prune_rest(tx, request)
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
        heads = tx.tables.jobs.ended(state, before, request.limit - pruned)
        tx.remove(heads, EventType.PRUNED, request.now, "retention is over")
        pruned += len(heads)
    return pruned


def _prune_logs(tx: Transaction, request: Prune) -> int:
    pruned = 0
    if request.events_before is not None:
        limit = request.limit * _EVENTS_OF_A_JOB
        pruned += tx.tables.events.prune(request.events_before, limit)
    if request.audit_before is not None:
        pruned += tx.tables.audit.prune(request.audit_before, request.limit)
    return pruned


def _prune_rest(tx: Transaction, request: Prune) -> int:
    pruned = tx.tables.locks.prune(request.now, request.limit)
    pruned += tx.tables.queues.fold(request.now, request.limit)
    if request.finished_before is not None:
        pruned += tx.tables.batches.prune(request.finished_before, request.limit)
        pruned += tx.tables.bulks.prune(request.finished_before, request.limit)
    return pruned
