"""The jobs, batches, queues, schedules and bulk operations of the model. Times are in ms."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import orjson

from corvo_schema.errors import ErrorCode
from corvo_schema.states import JobState
from corvo_server.store.records import Outcome

S = JobState
DAY = 86_400_000
WAITING = (S.PENDING, S.SCHEDULED, S.RETRYING)
FINISHED = (S.COMPLETED, S.DEAD, S.CANCELLED)

Answer: TypeAlias = type[Outcome] | ErrorCode
"""The expected answer for one job: the type of the outcome, or the code of the refusal."""

Action: TypeAlias = Callable[[str], Answer]
"""Applies an action to the job with an id."""


@dataclass(eq=False)
class Job:
    """A job of the model."""

    id: str
    queue: str
    place: tuple[int, int]
    """Priority and order of enqueueing. The lowest is fetched first."""
    state: JobState
    scheduled_at: int | None
    expire_at: int | None
    max_retries: int
    delay: int | None
    """Fixed delay between attempts; None for the default, 5 seconds that double each time."""
    unique_key: str | None
    unique_period: int
    concurrency_key: str | None
    batch: str | None
    attempt: int = 0
    failures: int = 0
    lease_ms: int = 0
    lease_ends: int | None = None
    token: str | None = None
    """Lease token of the current or the last attempt."""
    is_fenced: bool = False
    """Whether the fetch of the current or the last attempt asked for `fenced`."""
    was_acked: bool = False
    payload: str | None = None
    payload_bytes: int | None = None
    """Bytes of the payload if they do not follow from `payload`."""
    checkpoint: str | None = None
    first_queue: str = ""
    """Queue in which the job was enqueued."""
    was_replaced: bool = False
    """Whether an enqueue with `on_conflict=replace` has replaced the payload."""
    is_history_pruned: bool = False
    """Whether pruning may have deleted events of the job."""
    is_cancel_requested: bool = False
    finished_at: int | None = None
    is_counted: bool = False

    @property
    def size(self) -> int:
        """Bytes of the documents that a fetch returns, as JSON."""
        payload = self.payload_bytes
        if payload is None:
            payload = _size({} if self.payload is None else self.payload)
        return payload + (0 if self.checkpoint is None else _size(self.checkpoint))


def _size(value: object) -> int:
    return len(orjson.dumps(value))


@dataclass
class Batch:
    """A batch of the model."""

    total: int
    counts: dict[JobState, int] = field(default_factory=lambda: dict.fromkeys(FINISHED, 0))
    finished_at: int | None = None


@dataclass
class Queue:
    """A queue of the model."""

    is_paused: bool = False
    is_draining: bool = False
    max_active: int | None = None
    max_per_key: int | None = None
    rate: int | None = None
    window: int = 0
    enqueued: int = 0
    failed: int = 0


@dataclass
class Schedule:
    """A schedule of the model, which runs every so many minutes."""

    name: str
    id: str
    queue: str
    every: int
    """Interval in ms. Occurrences are its multiples."""
    is_skipping: bool
    """Whether late occurrences are skipped, instead of run once."""
    unique_key: str | None
    next_run: int
    is_paused: bool = False
    last_run: int | None = None
    last_job: str | None = None
    last_skipped: int | None = None
    run: set[int] = field(default_factory=set)
    """Occurrences whose job was enqueued."""


@dataclass
class BulkOperation:
    """A bulk operation of the model, in the background."""

    id: str
    act: Action
    job_ids: list[str] | None
    is_meant: Callable[[Job], bool]
    """Filter of the jobs if no ids were given."""
    total: int
    last: int
    """Order of the newest job when the operation began. Later jobs are not affected."""
    emptied: str | None = None
    """Queue that the operation clears or deletes."""
    is_queue_deleted: bool = False
    """Whether the last chunk deletes the emptied queue."""
    cursor: int = 0
    processed: int = 0
    affected: int = 0
    errors: int = 0
    status: str = "queued"
    finished_at: int | None = None
