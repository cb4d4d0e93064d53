"""Records of clears and deletes of queues that the engine and a store exchange."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from msgspec import Struct

from corvo_server.store.audit import Audit
from corvo_server.store.bulk import BulkRecord
from corvo_server.store.records import Refusal, Transition


class EmptyQueue(Struct, frozen=True):
    """A request to delete jobs of a queue, and with `is_deleted` the queue itself. Atomic.

    Either the jobs are deleted by `transitions`, or `operation` is stored, which deletes them.
    """

    queue: str
    is_deleted: bool
    now: int
    check: Callable[[int], Refusal | None]
    """Rule that refuses the request by the number of active jobs of the queue."""
    transitions: Sequence[Transition] = ()
    operation: BulkRecord | None = None
    audit: Audit | None = None


EmptyOutcome: TypeAlias = int | BulkRecord | Refusal
"""Number of deleted jobs, or the operation that was stored to delete them, or the refusal."""
