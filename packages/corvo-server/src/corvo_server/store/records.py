"""Records that the engine and a store exchange. Times are in ms since the epoch.

A `JobHead` has the fields of a job that decide its transitions. A rule (`engine.lifecycle`) turns a
head into a `Change`. A store loads the head, calls the rule, and writes the change.

Records of which one is made per job are not tracked by the garbage collector (`gc=False`). They
cannot be part of a reference cycle, because their fields never refer back to them.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from msgspec import Struct

from corvo_schema.errors import ErrorCode
from corvo_schema.options import OPTION_NAMES
from corvo_schema.states import Backoff, EventType, JobState, Priority
from corvo_server.store.audit import Audit
from corvo_server.store.sizes import size_of


class NewJob(Struct):
    """A job to be stored. `payload` and `tags` are JSON text; durations are in ms."""

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
    """W3C `traceparent` of the span that enqueued the job."""
    is_id_from_client: bool = False
    """Whether the client chose the id. Only then the store checks whether the id exists already."""
    on_conflict: "Decide | None" = None
    """Rule for the job that holds the unique key; None leaves that job as it is."""
    reason: str | None = None
    """Reason for a job that the server itself enqueues, for the job's event."""
    actor: str | None = None
    """Name of the API key of the caller, for the job's event."""
    left_out: Sequence[str] = OPTION_NAMES
    """Options that the request left out. The defaults of the queue replace their values here."""
    same_payload: str | None = None
    """Payload that counts as the same in a stored job with this id; None means that of this job."""
    charged_to: str | None = None
    """Name of the API key whose limits count the job; None if it has none."""

    @property
    def charged_bytes(self) -> int:
        """Bytes of the payload, if the job counts for a key; else 0."""
        return 0 if self.charged_to is None else size_of(self.payload)


class NewBatch(Struct, frozen=True):
    """A batch to be stored, with the callback job to enqueue when its last job ends, if any."""

    id: str
    created_at: int
    callback_queue: str | None = None
    callback_job_id: str | None = None
    """Id of the callback job. Chosen with the batch, so that only one callback can exist."""
    callback_payload: str | None = None
    """JSON text from the caller; the payload of the callback job adds the counts of the batch."""
    charged_to: str | None = None
    """Name of the API key whose limits count the callback job; None if it has none."""


class Quota(Struct, frozen=True):
    """The limits of an API key that a commit checks; None means no limit."""

    name: str
    """Name of the key. All keys with the name share its limits, so a new key after a rotation."""
    max_waiting: int | None
    max_bytes: int | None


class Enqueue(Struct, frozen=True):
    """A request to enqueue jobs, and their batch if any. Atomic: all jobs or none."""

    jobs: Sequence[NewJob]
    batch: NewBatch | None = None
    quota: Quota | None = None
    """Limits that count the new jobs. Refused with OVERLOADED if they would be exceeded."""
    sees: Callable[[str], bool] | None = None
    """Whether the answer may tell about jobs of a queue; None if it may about all."""


class Enqueued(Struct, frozen=True, gc=False):
    """The result for one job of an enqueue: stored, or found by its id or its unique key."""

    job_id: str
    status: str
    is_new: bool = True
    is_duplicate: bool = False
    batch_id: str | None = None
    """Batch of a job that is new or was found by its id; None for other jobs."""


class JobHead(Struct, gc=False):
    """The fields of a stored job that decide its transitions.

    Treat a head as read-only and change a copy: the store may cache the one that it returned.
    """

    seq: int
    """Primary key in the store, ascending in the order of enqueueing."""
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
    """Token of the current attempt, or of the last one, so that a repeated ack is recognised."""
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
    charged_to: str | None = None
    charged_bytes: int = 0


class Failure(Struct, frozen=True):
    """One failed attempt of a job."""

    attempt: int
    error: str
    backtrace: str | None
    at: int


class Change(Struct, gc=False):
    """A transition decided by a rule: the head after it, and the other values to store."""

    job: JobHead
    at: int
    event: EventType | None
    """Type of the event to append; None if only the lease was extended."""
    reason: str | None = None
    failure: Failure | None = None
    result: str | None = None
    """JSON text; `""` clears the stored value, None leaves it as it is."""
    checkpoint: str | None = None
    progress: str | None = None
    replacement: NewJob | None = None
    """New job whose payload, tags and retry settings replace those of this job."""


class Removal(Struct, frozen=True):
    """The deletion of a job with all that belongs to it except its events."""

    job: JobHead
    at: int
    event: EventType


class Unchanged(Struct, frozen=True):
    """The outcome of a repeated call whose effect is stored already. Nothing is written."""

    job: JobHead


class Refusal(Struct, frozen=True):
    """The outcome of a request that a guard rejected. Returned for one item, never raised."""

    code: ErrorCode
    message: str
    state: JobState | None = None
    details: Sequence[tuple[str, str]] = ()
    """Pairs of a field and what was expected."""
    retry_after: int | None = None
    """Seconds after which the request may succeed."""


def unknown_job(job_id: str) -> Refusal:
    """Return the outcome for a job that does not exist."""
    return Refusal(ErrorCode.NOT_FOUND, f"There is no job {job_id}.")


Outcome: TypeAlias = Change | Removal | Unchanged | Refusal

Decide: TypeAlias = Callable[[JobHead], Outcome]
"""A rule with its request bound in. It must be pure, because the store may call it again."""


class Transition(Struct, frozen=True):
    """A request to move one job by a rule."""

    job_id: str
    decide: Decide
    memory: int = 0
    """Bytes of the texts that the rule stores."""
    actor: str | None = None
    """Name of the API key of the caller, for the job's event."""


class JobAction(Struct, frozen=True):
    """A request of an operator to move jobs, which is recorded in the audit log."""

    transitions: Sequence[Transition]
    audit: Audit
    is_bulk: bool = False
    """Whether one entry counts all jobs, instead of an entry per job that exists."""


class Claim(Struct, frozen=True):
    """A fetch of up to `count` of the first eligible jobs of `queues`."""

    queues: Sequence[str]
    count: int
    clock: Callable[[], int]
    """Clock in ms. Read when the commit runs the claim, so that waiting does not shorten leases."""
    start: Callable[[JobHead, int], Change]
    """Rule that starts a job at a time in ms."""
    max_bytes: int
    """Largest total of the `size` of the jobs. The first job may be larger."""
    actor: str | None = None
    """Name of the API key of the caller, for the events of the jobs."""


class Maintain(Struct, frozen=True):
    """A chunk of maintenance: move up to `limit` jobs whose time came by `now`, by a rule."""

    now: int
    limit: int
    decide: Callable[[JobHead], Change]


class Prune(Struct, frozen=True):
    """A request to delete up to `limit` rows of each kind that ended by the given times.

    A time of None keeps rows of that kind for ever.
    """

    now: int
    limit: int
    finished_before: int | None
    """For completed and cancelled jobs, batches without jobs, and bulk operations."""
    dead_before: int | None
    """For dead jobs."""
    events_before: int | None
    """For events of the event log."""
    audit_before: int | None = None
    """For entries of the audit log."""


class LeasedJob(Struct, gc=False):
    """A job leased to a worker, with the documents that the worker needs (JSON text)."""

    head: JobHead
    payload: str
    checkpoint: str | None
    tags: str | None
    traceparent: str | None = None

    @property
    def size(self) -> int:
        """Bytes of the documents."""
        return size_of(self.payload) + size_of(self.checkpoint) + size_of(self.tags)


class Event(Struct, frozen=True, gc=False):
    """One entry of the event log."""

    id: int
    type: EventType
    job_id: str
    queue: str
    at: int
    data: str | None
    """JSON object as text with details such as the attempt, worker or reason; None without any."""


def shorten(events: Iterable[Event], max_data: int | None) -> list[Event]:
    """Return the first events, up to the one whose data brings the total to `max_data` characters.

    Return all events if `max_data` is None.
    """
    if max_data is None:
        return list(events)
    found: list[Event] = []
    for event in events:
        found.append(event)
        if event.data is not None:
            max_data -= len(event.data)
            if max_data <= 0:
                break
    return found


class JobRecord(Struct):
    """A job with all its fields. Documents are JSON text."""

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
    """A worker that has active jobs of a queue, and their number."""

    worker_id: str
    hostname: str | None
    queue: str
    active_jobs: int


class NextTimes(Struct):
    """The earliest times at which each service has work; None if nothing waits for that service."""

    due: int | None = None
    """Earliest due time of scheduled and retrying jobs."""
    lease_end: int | None = None
    """Earliest lease end of active jobs."""
    expiry: int | None = None
    """Earliest `expire_at` of unfinished jobs."""
    occurrence: int | None = None
    """Earliest occurrence of schedules that are not paused."""


class Commit(Struct):
    """The effects of one commit. Listeners get it once the commit is durable."""

    events: list[Event]
    """Events of the commit. On a shared database their ids are not final: read the event log."""
    ready: dict[str, int]
    """By queue, the number of jobs that fetches have to be woken for."""
    opened: set[str]
    """Queues whose settings changed, so that waiting fetches must look again."""
    opens_at: dict[str, int]
    """Queues with jobs that a rate limit blocks, and the time at which they may start again."""
    next_times: NextTimes
    """Earliest times of the jobs and schedules that this commit changed."""
    promoted_late: list[int] = []
    """Promotion lag of each promoted job in ms: promotion time minus due time."""
    operations: int = 0
    """Number of operations in the commit."""
    seconds: float = 0.0
    """Duration of the commit in seconds."""
    sync_seconds: float = 0.0
    """Part of `seconds` that the database took for the COMMIT alone, with its fsync."""
    has_written: bool = True
    """Whether the commit changed any row."""
    has_events: bool = False
    """Whether the commit appended to the event log."""
    has_bulk: bool = False
    """Whether the commit created or changed a bulk operation that has not ended."""
    is_from_other_node: bool = False
    """Whether another server made the commit. Then only the affected queues and times are known.

    A commit of unknown outcome is reported like this, too: with times that are due.
    """
