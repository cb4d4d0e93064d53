"""Records of bulk operations that the engine and a store exchange. Times are in ms."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from msgspec import Struct

from corvo_schema import BulkStatus
from corvo_server.store.records import Refusal, Transition

UNENDED = frozenset({BulkStatus.QUEUED, BulkStatus.RUNNING})
"""The statuses of bulk operations that have not ended."""


class BulkRecord(Struct, frozen=True):
    """A bulk operation that runs in the background, with its progress."""

    id: str
    request: str
    """The original request as JSON text, so that all chunks apply the same filter and action."""
    action: str
    status: BulkStatus
    total: int
    processed: int
    affected: int
    errors: int
    error: str | None
    cursor: int
    """Start of the next chunk: the last seq handled, or an index into the ids of the request."""
    last_seq: int
    """Seq of the newest job when the operation was created; later jobs are not affected."""
    created_at: int
    updated_at: int
    finished_at: int | None


BulkOutcome: TypeAlias = BulkRecord | Refusal


class BulkEdit(Struct, frozen=True):
    """A request to create or change one bulk operation by a rule."""

    id: str
    decide: Callable[[BulkRecord | None], BulkOutcome]
    """The rule with its request bound in; its argument is None if no operation has this id."""


class BulkStep(Struct, frozen=True):
    """The next chunk of a bulk operation. Its jobs and the progress are written atomically."""

    id: str
    transitions: Sequence[Transition]
    cursor: int
    """The `BulkRecord.cursor` after this chunk."""
    is_last: bool
    now: int
