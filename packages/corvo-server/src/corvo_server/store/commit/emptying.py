"""The clear and the delete of a queue: in one transaction, or as a bulk operation."""

from corvo_schema.states import JobState
from corvo_server.store.commit import transition as moves
from corvo_server.store.commit.audit import entry_of_emptying
from corvo_server.store.commit.prefetch import Prefetch
from corvo_server.store.commit.transaction import Transaction
from corvo_server.store.emptying import EmptyOutcome, EmptyQueue
from corvo_server.store.records import Removal


def prefetch(prefetch: Prefetch, requests: list[EmptyQueue]) -> None:
    """Add the ids of the jobs to delete to `prefetch`."""
    moves.prefetch(prefetch, [request.transitions for request in requests])


def empty(tx: Transaction, requests: list[EmptyQueue]) -> list[EmptyOutcome]:
    """Delete the jobs of each request, or store the bulk operation that deletes them."""
    return [_audited(tx, request) for request in requests]


def _audited(tx: Transaction, request: EmptyQueue) -> EmptyOutcome:
    if request.audit is None:
        return _empty(tx, request)
    before = tx.tables.queues.settings(request.queue)
    outcome = _empty(tx, request)
    tx.audit(entry_of_emptying(request.audit, before, outcome))
    return outcome


def _empty(tx: Transaction, request: EmptyQueue) -> EmptyOutcome:
    queue, tables = request.queue, tx.tables
    # With several servers, the counters may miss a start that this transaction waited for.
    heads = tables.jobs.heads({item.job_id for item in request.transitions}).values()
    started = sum(head.queue == queue and head.state is JobState.ACTIVE for head in heads)
    counted = tables.queues.active(queue) + tx.active_delta(queue)
    refusal = request.check(max(started, counted))
    if refusal is not None:
        return refusal
    tx.is_freeing = True
    if request.operation is not None:
        tables.queues.ensure(queue, request.now)
        tables.bulks.save(request.operation)
        tx.commit.has_bulk = True
        return request.operation
    (outcomes,) = moves.transition(tx, [request.transitions])
    if request.is_deleted:
        _delete(tx, queue)
    return sum(isinstance(outcome, Removal) for outcome in outcomes)


def end(tx: Transaction, queue: str, *, is_deleted: bool) -> None:
    """End the deletion of the jobs of a queue, and delete the queue itself with `is_deleted`."""
    if is_deleted:
        _delete(tx, queue)
    tx.open_queue(queue)


def _delete(tx: Transaction, queue: str) -> None:
    """Delete a queue. If it has newer jobs, it stays for them, with the settings of a new queue."""
    tx.write_counts()
    if not tx.tables.queues.drop(queue):
        tx.tables.queues.reset(queue)
        tx.open_queue(queue)
