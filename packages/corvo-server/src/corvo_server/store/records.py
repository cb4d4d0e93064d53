"""What the engine and a store hand each other: plain records, times in ms since the epoch.

A `JobHead` is the part of a job that its life cycle is decided on. The rules (`engine.lifecycle`)
turn a head into a `Change`; a store loads heads, asks the rule, and writes what it answered.

What is made for every job is of no interest to the garbage collector (`gc=False`): it holds values
and other records, and none of them leads back to it.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from msgspec import Struct

from corvo_schema.errors import ErrorCode
from corvo_schema.states import Backoff, EventType, JobState, Priority


class NewJob(Struct):
    """A job about to be stored. `payload` and `tags` are JSON text."""

    id: str
    queue: str
    state: JobState
    payload: str
    created_at: int
    priority: Priority = Priority.NORMAL
    max_retries: int = 3
    backoff: Backoff = Backoff.EXPONENTIAL
    base_delay: int = 5_000
    max_delay: int = 600_000
    unique_key: str | None = None
    unique_period: int = 3_600_000
    scheduled_at: int | None = None
    expire_at: int | None = None
    tags: str | None = None
    batch_id: str | None = None
    concurrency_key: str | None = None
    traceparent: str | None = None
    """Of the span in which the job was enqueued (W3C Trace Context)."""
    is_id_from_client: bool = False
    """Only then can the id be there already, and only then is that looked up."""
    on_conflict: "Decide | None" = None
    """What happens to the job that holds the unique key; None: nothing, this one is a duplicate."""
    reason: str | None = None
    """Why the server enqueues it by itself, for its event."""


class NewBatch(Struct, frozen=True):
    """A batch about to be stored, with the job to enqueue when its last job ends, if any."""

    id: str
    created_at: int
    callback_queue: str | None = None
    callback_job_id: str | None = None
    """Chosen with the batch, so that the callback can come only once."""
    callback_payload: str | None = None
    """The caller's JSON text, still to be wrapped with the batch's counts."""


class Enqueue(Struct, frozen=True):
    """An enqueue of one job or many, all or nothing."""

    jobs: Sequence[NewJob]
    batch: NewBatch | None = None


class Enqueued(Struct, frozen=True, gc=False):
    """What became of one enqueued job: stored, or found to exist by its id or its unique key."""

    job_id: str
    status: str
    is_new: bool = True
    is_duplicate: bool = False
    batch_id: str | None = None
    """Of a job that is new or was found by its id."""


class JobHead(Struct, gc=False):
    """The part of a stored job that its life cycle is decided on.

    The store may go by one that it handed out: whoever changes anything, changes a copy.
    """

    seq: int
    """The order of enqueueing, and the key among the jobs that are there."""
    id: str
    queue: str
    state: JobState
    priority: Priority
    attempt: int
    max_retries: int
    backoff: Backoff
    base_delay: int
    max_delay: int
    unique_key: str | None
    unique_period: int
    batch_id: str | None
    is_batch_counted: bool
    worker_id: str | None
    hostname: str | None
    lease_token: str | None
    """Of the present attempt; or of the one that ended the last, which may be told again."""
    lease_ms: int
    lease_expires_at: int | None
    scheduled_at: int | None
    expire_at: int | None
    created_at: int
    started_at: int | None
    finished_at: int | None
    failed_at: int | None
    is_cancel_requested: bool
    concurrency_key: str | None = None


class Failure(Struct, frozen=True):
    """One failed attempt, as it is kept with the job."""

    attempt: int
    error: str
    backtrace: str | None
    at: int


class Change(Struct, gc=False):
    """A transition that a rule decided on: the head after it, and what else to keep."""

    job: JobHead
    at: int
    event: EventType | None
    """None only for an extended lease, which is no news."""
    reason: str | None = None
    failure: Failure | None = None
    result: str | None = None
    """JSON text; `""` clears it, None leaves it."""
    checkpoint: str | None = None
    progress: str | None = None
    replacement: NewJob | None = None
    """Whose payload, tags and retry settings the job takes over."""


class Removal(Struct, frozen=True):
    """A transition out of existence, with all that belongs to the job but its events."""

    job: JobHead
    at: int
    event: EventType


class Unchanged(Struct, frozen=True):
    """A repeated call: its effect is there already, nothing is written."""

    job: JobHead


class Refusal(Struct, frozen=True):
    """A guard that did not hold. An outcome of one item, not an exception."""

    code: ErrorCode
    message: str
    state: JobState | None = None


Outcome: TypeAlias = Change | Removal | Unchanged | Refusal

Decide: TypeAlias = Callable[[JobHead], Outcome]
"""A rule with its request bound in. Pure: the store may call it again."""


class Transition(Struct, frozen=True):
    """A request to move one job."""

    job_id: str
    decide: Decide


class Claim(Struct, frozen=True):
    """A fetch: up to `count` of the first jobs of `queues`, each started by `start`."""

    queues: Sequence[str]
    count: int
    clock: Callable[[], int]
    """Asked when the claim has its turn: a lease begins then, and not before it waited for that."""
    start: Callable[[JobHead, int], Change]
    """Of a job, at a moment."""


class Maintain(Struct, frozen=True):
    """A chunk of the server's own work: up to `limit` jobs whose time came by `now`."""

    now: int
    limit: int
    decide: Callable[[JobHead], Change]


class Prune(Struct, frozen=True):
    """What is old enough to go, as moments before which it ended; None keeps that kind for ever."""

    now: int
    limit: int
    finished_before: int | None
    """Of completed and cancelled jobs, and of batches without jobs."""
    dead_before: int | None
    events_before: int | None


class LeasedJob(Struct, gc=False):
    """A claimed job with the documents that its worker needs (JSON text)."""

    head: JobHead
    payload: str
    checkpoint: str | None
    tags: str | None
    traceparent: str | None = None


class Event(Struct, frozen=True, gc=False):
    """One line of the event log."""

    id: int
    type: EventType
    job_id: str
    queue: str
    at: int
    data: str | None
    """JSON object text with what else there is to say (attempt, worker, reason)."""


class JobRecord(Struct):
    """A job in full."""

    head: JobHead
    payload: str
    tags: str | None
    traceparent: str | None
    progress: str | None
    checkpoint: str | None
    result: str | None
    failures: list[Failure] = []
    events: list[Event] = []


class Holder(Struct, frozen=True):
    """A worker that holds active jobs."""

    worker_id: str
    hostname: str | None
    active_jobs: int


class NextTimes(Struct):
    """The earliest moments at which a service has something to do; None where nothing waits."""

    due: int | None = None
    """Of scheduled and retrying jobs."""
    lease_end: int | None = None
    """Of active jobs."""
    expiry: int | None = None
    """Of jobs that have an `expire_at` and are not finished."""
    occurrence: int | None = None
    """Of schedules that are not paused."""


class Commit(Struct):
    """What one commit brought about, told to the engine once it is durable."""

    events: list[Event]
    """Where other servers write to the log as well, their ids are known only once they are read."""
    ready: dict[str, int]
    """By queue, how many more jobs it may hand out than before."""
    opened: set[str]
    """Queues that may serve again."""
    opens_at: dict[str, int]
    """Throttled queues that have jobs and may serve again later, and when."""
    next_times: NextTimes
    """Of the jobs that this commit changed."""
    promoted_late: list[int] = []
    """By how many ms each job that was due was promoted after its time."""
    operations: int = 0
    """How many shared the commit."""
    seconds: float = 0.0
    """How long it took to write."""
    has_events: bool = False
    """Whether the event log has got longer."""
    has_bulk: bool = False
    """Whether a bulk operation was begun."""
    is_from_other_node: bool = False
    """Another server's: what it did in full is not known here, only whom it concerns."""
