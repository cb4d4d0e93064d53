"""Records of bulk operations that the engine and a store exchange. Times are in ms."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import orjson
from msgspec import Struct
from msgspec.structs import replace

from corvo_schema import BulkStatus
from corvo_server.store.audit import Audit
from corvo_server.store.records import Refusal, Transition

UNENDED = frozenset({BulkStatus.QUEUED, BulkStatus.RUNNING})
"""The statuses of bulk operations that have not ended."""

CLEAR_QUEUE, DELETE_QUEUE = "clear_queue", "delete_queue"
"""The actions of bulk operations that empty a queue. The filter of their request names the queue.

No fetch starts a job that such an operation covers: both engines read it in `queue_limits`.
"""
EMPTYING = frozenset({CLEAR_QUEUE, DELETE_QUEUE})

SCOPE = "scope"
"""First key of the request of an operation that is limited to the queues of an API key.

Its value is a list of patterns. Both engines read it in `list_bulks`.
"""
ACTOR = "actor"
"""Key of the request of an operation that an API key began. Its value is the name of the key."""
_QUEUE = "queue"
"""Key of what remains of the request of an operation that has emptied a queue."""


class BulkRecord(Struct, frozen=True):
    """A bulk operation that runs in the background, with its progress."""

    id: str
    request: str
    """The original request as JSON text, so that all chunks apply the same filter and action.

    It also has the scope and the name of the API key that began the operation.
    Once the operation has ended, only its scope or queue is left: a request may list 10,000 ids.
    """
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

    @property
    def emptied_queue(self) -> str | None:
        """Queue that the operation clears or deletes; None for others and ended ones."""
        return self.queue if self.status in UNENDED else None

    @property
    def queue(self) -> str | None:
        """Queue that the operation clears or deletes, or has; None for others.

        It is also None for operations that ended under a version without API keys.
        """
        if self.action not in EMPTYING:
            return None
        fields = orjson.loads(self.request)
        queue: str | None = fields.get("filter", fields).get(_QUEUE)
        return queue

    @property
    def scope(self) -> tuple[str, ...] | None:
        """Patterns of the queues to which the operation is limited; None for all queues."""
        if not self.request.startswith(f'{{"{SCOPE}":'):
            return None
        return tuple(orjson.loads(self.request)[SCOPE])

    def within(self, scope: Sequence[str]) -> "BulkRecord":
        """Return the operation, limited to queues that match one of the patterns."""
        fields = {SCOPE: scope} | orjson.loads(self.request)
        return replace(self, request=orjson.dumps(fields).decode())

    @property
    def actor(self) -> str | None:
        """Name of the API key that began the operation; None for others and ended ones."""
        actor: str | None = orjson.loads(self.request).get(ACTOR)
        return actor

    def begun_by(self, actor: str | None) -> "BulkRecord":
        """Return the operation with the name of the API key that begins it, if any."""
        if actor is None:
            return self
        fields = orjson.loads(self.request) | {ACTOR: actor}
        return replace(self, request=orjson.dumps(fields).decode())

    def ended(self, status: BulkStatus, now: int, error: str | None = None) -> "BulkRecord":
        """Return the operation after its end with `status` at `now`."""
        fields = {SCOPE: self.scope, _QUEUE: self.queue}
        left = {name: value for name, value in fields.items() if value is not None}
        request = orjson.dumps(left).decode()
        return replace(
            self, status=status, request=request, error=error, updated_at=now, finished_at=now
        )


BulkOutcome: TypeAlias = BulkRecord | Refusal


class BulkEdit(Struct, frozen=True):
    """A request to create or change one bulk operation by a rule."""

    id: str
    decide: Callable[[BulkRecord | None], BulkOutcome]
    """The rule with its request bound in; its argument is None if no operation has this id."""
    memory: int = 0
    """Bytes of the request that the rule stores."""
    audit: Audit | None = None


class BulkStep(Struct, frozen=True):
    """The next chunk of a bulk operation. Its jobs and the progress are written atomically."""

    id: str
    start: int
    """The `BulkRecord.cursor` before this chunk; if it is another one, the chunk is done."""
    transitions: Sequence[Transition]
    cursor: int
    """The `BulkRecord.cursor` after this chunk."""
    is_last: bool
    now: int
    end: Audit | None = None
    """What the audit log records at the end of the operation."""
