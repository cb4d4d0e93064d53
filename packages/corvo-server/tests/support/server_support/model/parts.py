"""Jobs, batches, queues, schedules and bulk operations as they should be. Times are in ms."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from corvo_schema.errors import ErrorCode
from corvo_schema.states import JobState
from corvo_server.store.records import Outcome

S = JobState
DAY = 86_400_000
WAITING = (S.PENDING, S.SCHEDULED, S.RETRYING)
FINISHED = (S.COMPLETED, S.DEAD, S.CANCELLED)

Answer: TypeAlias = type[Outcome] | ErrorCode
"""What a call should be answered for one job: the kind of outcome, or why it is refused."""

Action: TypeAlias = Callable[[str], Answer]
"""What is done to the job of an id."""


@dataclass(eq=False)
class Job:
    """A job as it should be."""

    id: str
    queue: str
    place: tuple[int, int]
    """Priority and order of enqueueing: who is served first."""
    state: JobState
    scheduled_at: int | None
    expire_at: int | None
    max_retries: int
    delay: int | None
    """Between attempts; None for the default, 5 seconds and then twice as long each time."""
    unique_key: str | None
    unique_period: int
    concurrency_key: str | None
    batch: str | None
    attempt: int = 0
    failures: int = 0
    lease_ms: int = 0
    lease_ends: int | None = None
    token: str | None = None
    """That holds the job, or that ended its last attempt."""
    was_acked: bool = False
    is_cancel_requested: bool = False
    finished_at: int | None = None
    is_counted: bool = False


@dataclass
class Batch:
    """A batch as it should be."""

    total: int
    counts: dict[JobState, int] = field(default_factory=lambda: dict.fromkeys(FINISHED, 0))
    finished_at: int | None = None


@dataclass
class Queue:
    """A queue as it should be."""

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
    """A schedule of every so many minutes as it should be."""

    name: str
    id: str
    queue: str
    every: int
    """In ms; its occurrences are the multiples of it."""
    is_skipping: bool
    """Whether occurrences that are late are left out, instead of becoming one run."""
    unique_key: str | None
    next_run: int
    is_paused: bool = False
    last_run: int | None = None
    last_job: str | None = None
    last_skipped: int | None = None
    run: set[int] = field(default_factory=set)
    """Occurrences that have had their job."""


@dataclass
class BulkOperation:
    """A bulk operation in the background as it should be."""

    id: str
    act: Action
    job_ids: list[str] | None
    is_meant: Callable[[Job], bool]
    """Where no ids were given."""
    total: int
    last: int
    """The order of the last job that was there when it began; later ones are not meant."""
    cursor: int = 0
    processed: int = 0
    affected: int = 0
    errors: int = 0
    status: str = "queued"
    finished_at: int | None = None
