"""The verbs of webhooks: edit webhooks and sources, and enqueue deliveries with their position."""

from collections.abc import Mapping, Sequence

from corvo_schema.webhooks import delivery_queue
from corvo_server.store.commit import enqueue
from corvo_server.store.commit.audit import entry_of_hook
from corvo_server.store.commit.prefetch import Prefetch
from corvo_server.store.commit.transaction import Transaction, no_room
from corvo_server.store.queues import LimitKeys
from corvo_server.store.records import Enqueue, Refusal
from corvo_server.store.webhooks import (
    Deliveries,
    Hook,
    HookChange,
    HookEdit,
    R,
    WebhookRecord,
)


def edit(tx: Transaction, edits: Sequence[HookEdit[Hook]]) -> list[HookChange[Hook] | Refusal]:
    """Change webhooks as each rule decides. A later edit sees the effects of earlier ones."""
    return [_edit(tx, request) for request in edits]


def _edit(tx: Transaction, request: HookEdit[R]) -> HookChange[R] | Refusal:
    table = tx.tables.webhooks
    stored = table.lock(request.kind)
    change = request.decide(stored)
    if not isinstance(change, Refusal) and _is_new(change, stored) and tx.room <= 0:
        change = no_room()
    if request.audit is not None:
        entry = entry_of_hook(request.audit, stored, change)
        if entry is not None:
            tx.audit(entry)
    if isinstance(change, Refusal):
        return change
    after = change.after
    if after is None:
        table.remove(request.kind, change.name)
        return change
    table.save(after, change.position)
    if isinstance(after, WebhookRecord):
        # One delivery of a job at a time: fetches from the queue must not run in parallel.
        queue = delivery_queue(after.name)
        tx.tables.queues.configure(LimitKeys(queue, after.updated_at, 1))
        tx.open_queue(queue)
    return change


def _is_new(change: HookChange[R], stored: Mapping[str, R]) -> bool:
    return change.after is not None and change.name not in stored


def prefetch(prefetch: Prefetch, requests: list[Deliveries]) -> None:
    """Add the queues of the deliveries to `prefetch`."""
    enqueue.prefetch(prefetch, [Enqueue(request.jobs) for request in requests])


def memory(request: Deliveries) -> int:
    """Return the bytes of memory that the deliveries take."""
    return enqueue.memory(Enqueue(request.jobs))


def deliver(tx: Transaction, requests: Sequence[Deliveries]) -> list[bool | Refusal]:
    """Enqueue deliveries and store the positions of their webhooks.

    Return False, and do nothing, if another server has moved or changed one of them.
    """
    return [_deliver(tx, request) for request in requests]


def _deliver(tx: Transaction, request: Deliveries) -> bool | Refusal:
    table = tx.tables.webhooks
    stored = table.lock_positions()
    if any(stored.get(name) != position for name, position in request.expected.items()):
        return False
    if request.jobs:
        (answer,) = enqueue.enqueue(tx, [Enqueue(request.jobs)], are_announced=False)
        if isinstance(answer, Refusal):
            return answer
    table.move([*request.expected], request.position)
    return True
