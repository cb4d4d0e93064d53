"""What an engine can do within an open transaction, table by table.

The verbs (`store.verbs`) and the transaction decide, once for all engines; behind these protocols
each engine has its own SQL and no rule of its own. Calls take sets, so that an engine beyond a
network answers in few round trips. What is read stays as it is until the transaction ends, but for
its own writes: an engine with several writers locks it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from corvo_schema.states import JobState
from corvo_server.store.bulk import BulkRecord
from corvo_server.store.queues import (
    QueueSetting,
)
from corvo_server.store.records import (
    Change,
    Event,
    JobHead,
    LeasedJob,
    NewBatch,
    NewJob,
)
from corvo_server.store.schedules import ScheduleRecord


class Place(NamedTuple):
    """Where a job stands in its queue's line; the lower one is served first."""

    priority: int
    seq: int


class QueueLimits(NamedTuple):
    """What may hold a queue back, and how many of its jobs were active before the transaction."""

    is_paused: bool = False
    max_concurrency: int | None = None
    max_per_key: int | None = None
    rate: int | None = None
    window: int | None = None
    active: int = 0
    last_start: int | None = None
    """Of a throttled queue, where other servers may have started jobs of it meanwhile."""


class Starts(NamedTuple):
    """The starts of a throttled queue within its window; `oldest`, in ms, is None without any."""

    jobs: int
    oldest: int | None


class BatchCount(NamedTuple):
    """How many more jobs of a batch have ended, and when the last of them did."""

    batch_id: str
    succeeded: int
    failed: int
    cancelled: int
    ended_at: int


class EndedBatch(NamedTuple):
    """A batch whose last job has ended in this transaction. The payload is JSON text."""

    id: str
    ended_at: int
    total: int
    succeeded: int
    failed: int
    cancelled: int
    callback_queue: str | None
    callback_job_id: str
    callback_payload: str


QueueCount: TypeAlias = tuple[str, int, int, int, int, int, int, int, int, int, int]
"""Queue, when it first had a job, then what is to be added to its counters: scheduled, pending,
active, retrying, completed, dead, cancelled; ever enqueued, ever failed."""


class JobTable(Protocol):
    """Jobs with their tags and failures."""

    def insert(self, jobs: Sequence[NewJob]) -> Sequence[int]:
        """Store new jobs; the seq of each.

        Their order is that of `created_at`, which is moved up where the clock was set back.
        """
        ...

    def known(self, job_ids: list[str]) -> dict[str, tuple[JobState, str | None]]:
        """State and batch of those of the jobs, one at least, that exist, by id."""
        ...

    def heads(self, job_ids: Collection[str]) -> dict[str, JobHead]:
        """The heads of the jobs that exist, by id."""
        ...

    def update(self, changes: list[Change]) -> None:
        """Write changed heads, in this order, with what else each change brings."""
        ...

    def remove(self, jobs: list[JobHead]) -> None:
        """Delete jobs, one at least, with their failures. No other gets their `seq`."""
        ...

    def due(self, now: int, limit: int) -> list[JobHead]:
        """Scheduled and retrying jobs whose time has come, those that waited longest first."""
        ...

    def lapsed(self, now: int, limit: int) -> list[JobHead]:
        """Active jobs whose lease has ended."""
        ...

    def expired(self, now: int, limit: int) -> list[JobHead]:
        """Waiting jobs past their `expire_at`."""
        ...

    def ended(self, state: JobState, before: int, limit: int) -> list[JobHead]:
        """Jobs that ended in this state, at that moment or earlier."""
        ...


class LockTable(Protocol):
    """Unique keys and the jobs that hold them."""

    def holder(self, queue: str, unique_key: str, now: int) -> str | None:
        """The id of the job that holds a key at `now`."""
        ...

    def take(self, job: JobHead, now: int) -> None:
        """Make `job` the holder of its key, for its period from `now` on."""
        ...

    def free(self, job: JobHead) -> None:
        """Give up the key of `job`, if it is the holder."""
        ...

    def prune(self, now: int, limit: int) -> int:
        """Forget locks that have lapsed; how many."""
        ...


class BatchTable(Protocol):
    """Batches."""

    def insert(self, batch: NewBatch, total: int) -> None:
        """Store a batch of so many jobs."""
        ...

    def count(self, counts: list[BatchCount]) -> list[EndedBatch]:
        """Add to the counts of batches; those that have ended by it, each only ever once."""
        ...

    def prune(self, before: int, limit: int) -> int:
        """Forget batches without jobs that ended at that moment or earlier; how many."""
        ...


class QueueTable(Protocol):
    """Queues: settings and counters."""

    def limited(self, names: Collection[str]) -> set[str]:
        """Those of the queues in which the number of active jobs is limited."""
        ...

    def count(self, counts: list[QueueCount]) -> None:
        """Add to the counters, creating queues that are new."""
        ...

    def configure(self, setting: QueueSetting) -> None:
        """Change one setting, creating the queue if need be."""
        ...

    def drop(self, name: str) -> bool:
        """Forget a queue that has no jobs; whether it had none."""
        ...

    def fold(self, now: int, limit: int) -> int:
        """Add the counts of up to `limit` servers that are long gone to those of all; how many."""
        ...


class PendingTable(Protocol):
    """Pending jobs, by the queue in which they stand in line. `now` rules out what has expired."""

    def limits(self, queues: Collection[str]) -> dict[str, QueueLimits]:
        """The limits of the queues that have settings."""
        ...

    def starts(self, queue: str, since: int) -> Starts:
        """The starts after `since`; those before are forgotten."""
        ...

    def add_starts(self, queue: str, at: int, count: int) -> None:
        """Remember that jobs of a throttled queue were started."""
        ...

    def first(self, rooms: Mapping[str, int], now: int) -> dict[str, list[Place]]:
        """The first so many places of each queue."""
        ...

    def keys(self, queue: str) -> list[tuple[str, int]]:
        """The concurrency keys of pending jobs, each with the number of active ones."""
        ...

    def first_without_key(self, queue: str, now: int, count: int) -> list[Place]:
        """The first places of jobs without a concurrency key."""
        ...

    def first_of_keys(
        self, queue: str, rooms: Mapping[str, int], now: int
    ) -> dict[str, list[Place]]:
        """The first so many places of each concurrency key."""
        ...

    def load(self, seqs: list[int]) -> dict[int, LeasedJob]:
        """The jobs at these places."""
        ...


class EventTable(Protocol):
    """The event log."""

    def next_id(self) -> int:
        """The id of the next event, if it is known before `append`; else any number."""
        ...

    def append(self, events: list[Event], seqs: list[int], *, are_jobs_there: bool) -> None:
        """Write events, each of the job with that seq; not all of the jobs may still be there."""
        ...

    def prune(self, before: int, limit: int) -> int:
        """Forget events of that moment or earlier, but for the newest; how many."""
        ...


class ScheduleTable(Protocol):
    """Schedules."""

    def find(self, reference: str, *, by_id: bool) -> ScheduleRecord | None:
        """One schedule by its id, if `by_id`, else by its name."""
        ...

    def due(self, now: int, limit: int) -> list[ScheduleRecord]:
        """Schedules that are not paused and have an occurrence by `now`, the earliest first."""
        ...

    def save(self, schedule: ScheduleRecord) -> None:
        """Store a schedule, new or changed."""
        ...

    def remove(self, schedule_id: str) -> None:
        """Delete a schedule."""
        ...


class BulkTable(Protocol):
    """Bulk operations."""

    def find(self, bulk_id: str) -> BulkRecord | None:
        """One operation."""
        ...

    def save(self, record: BulkRecord) -> None:
        """Store an operation, new or changed."""
        ...

    def prune(self, before: int, limit: int) -> int:
        """Forget operations that ended at that moment or earlier; how many."""
        ...


class Tables(NamedTuple):
    """The tables of one open transaction."""

    jobs: JobTable
    locks: LockTable
    batches: BatchTable
    queues: QueueTable
    pending: PendingTable
    events: EventTable
    schedules: ScheduleTable
    bulks: BulkTable
