"""What the engine and a store hand each other about bulk operations."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from msgspec import Struct

from corvo_schema import BulkStatus
from corvo_server.store.records import Refusal, Transition

UNENDED = frozenset({BulkStatus.QUEUED, BulkStatus.RUNNING})


class BulkRecord(Struct, frozen=True):
    """A bulk operation in the background, and how far it has got. Times in ms."""

    id: str
    request: str
    """What was asked for, as JSON text: what is meant does not change underway."""
    action: str
    status: BulkStatus
    total: int
    processed: int
    affected: int
    errors: int
    error: str | None
    cursor: int
    """Where the next chunk begins: a seq, or an index of the ids that were given."""
    last_seq: int
    """Jobs that were enqueued after this one are not meant."""
    created_at: int
    updated_at: int
    finished_at: int | None


BulkOutcome: TypeAlias = BulkRecord | Refusal


class BulkEdit(Struct, frozen=True):
    """A change of one bulk operation by a rule, which is given None where there is none."""

    id: str
    decide: Callable[[BulkRecord | None], BulkOutcome]


class BulkStep(Struct, frozen=True):
    """The next chunk of a bulk operation: the jobs and the progress are written together."""

    id: str
    transitions: Sequence[Transition]
    cursor: int
    is_last: bool
    now: int
