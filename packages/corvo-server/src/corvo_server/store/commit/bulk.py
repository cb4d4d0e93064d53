"""The verbs of bulk operations. A chunk and its progress are written in one transaction."""

from msgspec.structs import replace

from corvo_schema import BulkStatus
from corvo_server.store.bulk import (
    DELETE_QUEUE,
    UNENDED,
    BulkEdit,
    BulkOutcome,
    BulkRecord,
    BulkStep,
)
from corvo_server.store.commit import emptying
from corvo_server.store.commit import transition as moves
from corvo_server.store.commit.audit import entry_of_bulk
from corvo_server.store.commit.prefetch import Prefetch
from corvo_server.store.commit.transaction import Transaction
from corvo_server.store.records import Change, Refusal, Removal


def prefetch(prefetch: Prefetch, steps: list[BulkStep]) -> None:
    """Add the ids of the jobs to move to `prefetch`."""
    moves.prefetch(prefetch, [step.transitions for step in steps])


def edit(tx: Transaction, edits: list[BulkEdit]) -> list[BulkOutcome]:
    """Create or change each bulk operation as its rule decides. Return the outcomes."""
    return [_edit(tx, request) for request in edits]


def _edit(tx: Transaction, request: BulkEdit) -> BulkOutcome:
    before = tx.tables.bulks.find(request.id)
    outcome = request.decide(before)
    if request.audit is not None:
        entry = entry_of_bulk(request.audit, before, outcome)
        if entry is not None:
            tx.audit(entry)
    if isinstance(outcome, BulkRecord):
        tx.tables.bulks.save(outcome)
        tx.is_freeing = True
        tx.commit.has_bulk = tx.commit.has_bulk or outcome.finished_at is None
        if before is not None and before.emptied_queue is not None:
            tx.open_queue(before.emptied_queue)  # its remaining jobs can be fetched again
    return outcome


def step(tx: Transaction, steps: list[BulkStep]) -> list[BulkRecord | None]:
    """Apply one chunk of each bulk operation that waits for it. Return the stored operations.

    A chunk of an operation that has ended or gone on meanwhile changes nothing. The result of an
    operation that does not exist is None.
    """
    return [_step(tx, chunk) for chunk in steps]


def _step(tx: Transaction, chunk: BulkStep) -> BulkRecord | None:
    record = tx.tables.bulks.find(chunk.id)
    if record is None or record.status not in UNENDED or record.cursor != chunk.start:
        return record
    (outcomes,) = moves.transition(tx, [chunk.transitions])
    after = replace(
        record,
        status=BulkStatus.RUNNING,
        processed=record.processed + len(outcomes),
        affected=record.affected + sum(isinstance(o, Change | Removal) for o in outcomes),
        errors=record.errors + sum(isinstance(o, Refusal) for o in outcomes),
        cursor=chunk.cursor,
        updated_at=chunk.now,
    )
    if chunk.is_last:
        if record.emptied_queue is not None:
            is_deleted = record.action == DELETE_QUEUE
            emptying.end(tx, record.emptied_queue, is_deleted=is_deleted)
        after = after.ended(BulkStatus.COMPLETED, chunk.now)
        entry = None if chunk.end is None else entry_of_bulk(chunk.end, record, after)
        if entry is not None:
            tx.audit(entry)
    tx.tables.bulks.save(after)
    return after
