"""The tables of an open transaction, as protocols that each storage engine implements.

The verbs (`store.commit`) and the transaction make all decisions, once for all engines. An engine
adds only its SQL. Methods take sets of jobs, so that a database across a network needs few round
trips. Rows that were read change only by this transaction until it ends: an engine with several
writers locks them.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from corvo_schema.states import EventType, JobState
from corvo_server.store.audit import AuditEntry
from corvo_server.store.bulk import BulkRecord
from corvo_server.store.keys import KeyRecord, KeyRing, KeyUse
from corvo_server.store.options import JobOptions
from corvo_server.store.queues import QueueSetting, QueueSettings
from corvo_server.store.records import (
    Change,
    Event,
    JobHead,
    LeasedJob,
    NewBatch,
    NewJob,
)
from corvo_server.store.schedules import ScheduleRecord
from corvo_server.store.webhooks import Hook, R


class Place(NamedTuple):
    """The position of a pending job in its queue. A lower one is fetched first."""

    priority: int
    seq: int


class QueueLimits(NamedTuple):
    """The settings that limit the fetches of a queue, and its counts before the transaction.

    Limits of None are not set. `window` is in ms; `rate` jobs may start in any window.
    """

    is_paused: bool = False
    max_concurrency: int | None = None
    max_per_key: int | None = None
    rate: int | None = None
    window: int | None = None
    active: int = 0
    """Number of active jobs before the transaction."""
    last_start: int | None = None
    """Time of the last start in ms; None without a rate limit, or on a store with one server."""
    emptied_to: int | None = None
    """Highest seq of the jobs that a bulk operation is about to delete; None without one."""


class Starts(NamedTuple):
    """The number of starts in the window of a rate limit, and the time of the oldest in ms."""

    jobs: int
    oldest: int | None


class BatchCount(NamedTuple):
    """The jobs of a batch that ended in this transaction, and the time of the last end in ms."""

    batch_id: str
    succeeded: int
    failed: int
    cancelled: int
    ended_at: int


class EndedBatch(NamedTuple):
    """A batch whose last job ended in this transaction. `callback_payload` is JSON text."""

    id: str
    ended_at: int
    total: int
    succeeded: int
    failed: int
    cancelled: int
    callback_queue: str | None
    callback_job_id: str
    callback_payload: str
    charged_to: str | None


class KnownJob(NamedTuple):
    """A stored job, as far as an enqueue with its id needs it."""

    seq: int
    state: JobState
    batch_id: str | None
    queue: str


class Usage(NamedTuple):
    """What the stored jobs of an API key with limits use, or a change of it."""

    waiting: int = 0
    """Number of scheduled, pending and retrying jobs."""
    bytes: int = 0
    """Bytes of the payloads of all jobs."""

    def plus(self, waiting: int, more_bytes: int) -> "Usage":
        """Return the sum."""
        return Usage(self.waiting + waiting, self.bytes + more_bytes)


QueueCount: TypeAlias = tuple[str, int, int, int, int, int, int, int, int, int, int]
"""Queue, time of its creation in ms if it is new, and the changes of its counters: scheduled,
pending, active, retrying, completed, dead, cancelled; ever enqueued, ever failed."""


class JobTable(Protocol):
    """Jobs with their tags and failures."""

    def insert(self, jobs: Sequence[NewJob]) -> Sequence[int]:
        """Store new jobs and return the seq of each.

        The order by seq is also that by `created_at`: if the clock was set back, `created_at` is
        raised to the newest one stored.
        """
        ...

    def known(self, job_ids: list[str]) -> dict[str, KnownJob]:
        """Return the existing jobs, by id. `job_ids` must not be empty."""
        ...

    def other_payloads(self, jobs: Sequence[NewJob]) -> list[int]:
        """Return the indexes of `jobs` whose payload differs from that of the job with their id.

        Payloads are compared as texts. A job that is not stored does not differ.
        """
        ...

    def heads(self, job_ids: Collection[str]) -> dict[str, JobHead]:
        """Return the heads of the existing jobs, by id."""
        ...

    def update(self, changes: list[Change]) -> None:
        """Write the changed heads and the other values of each change, in the given order."""
        ...

    def remove(self, jobs: list[JobHead]) -> None:
        """Delete jobs and their failures. `jobs` must not be empty; a seq is never used again."""
        ...

    def due(self, now: int, limit: int) -> list[JobHead]:
        """Return up to `limit` scheduled and retrying jobs due by `now`, earliest due first."""
        ...

    def lapsed(self, now: int, limit: int) -> list[JobHead]:
        """Return up to `limit` active jobs whose lease ended by `now`."""
        ...

    def expired(self, now: int, limit: int) -> list[JobHead]:
        """Return up to `limit` pending, scheduled and retrying jobs with `expire_at` by `now`."""
        ...

    def ended(self, state: JobState, before: int, limit: int) -> list[JobHead]:
        """Return up to `limit` jobs that ended in `state` at `before` or earlier."""
        ...


class LockTable(Protocol):
    """Unique locks: which job holds a unique key of a queue, and until when."""

    def holder(self, queue: str, unique_key: str, now: int) -> str | None:
        """Return the id of the job that holds a unique key at `now`, or None."""
        ...

    def take(self, job: JobHead, now: int) -> None:
        """Lock the unique key of `job` for its `unique_period`, starting at `now`."""
        ...

    def free(self, job: JobHead) -> None:
        """Release the unique key of `job` if `job` holds it."""
        ...

    def prune(self, now: int, limit: int) -> int:
        """Delete up to `limit` locks that ended by `now`. Return their number."""
        ...


class BatchTable(Protocol):
    """Batches."""

    def insert(self, batch: NewBatch, total: int) -> None:
        """Store a new batch of `total` jobs."""
        ...

    def count(self, counts: list[BatchCount]) -> list[EndedBatch]:
        """Add to the counts of batches. Return the batches that ended, each only once ever."""
        ...

    def prune(self, before: int, limit: int) -> int:
        """Delete up to `limit` batches without jobs that ended by `before`. Return their number."""
        ...


class QueueTable(Protocol):
    """Queues: settings and counters."""

    def touch(self) -> None:
        """Write to the database without changing what it stores."""
        ...

    def limited(self, names: Collection[str]) -> set[str]:
        """Return the queues that limit their active jobs, in total or per key."""
        ...

    def count(self, counts: list[QueueCount]) -> None:
        """Add to the counters of queues. Create the queues that do not exist."""
        ...

    def defaults(self, names: Collection[str]) -> Mapping[str, JobOptions]:
        """Return the defaults of these queues, by name, and perhaps those of others."""
        ...

    def configure(self, setting: QueueSetting) -> None:
        """Change one setting of a queue. Create the queue if it does not exist."""
        ...

    def settings(self, name: str) -> QueueSettings:
        """Return the settings of a queue; those of a new queue if it does not exist.

        They change only by this transaction until it ends. The queue may be created for that.
        """
        ...

    def active(self, name: str) -> int:
        """Return the number of active jobs of a queue, without uncounted ones (`count`)."""
        ...

    def ensure(self, name: str, now: int) -> None:
        """Store the settings of a queue if it has none yet."""
        ...

    def reset(self, name: str) -> None:
        """Give a queue the settings of a new one."""
        ...

    def drop(self, name: str) -> bool:
        """Delete a queue unless it has jobs. Return whether it was deleted."""
        ...

    def fold(self, now: int, limit: int) -> int:
        """Merge the counters of up to `limit` nodes without recent heartbeats into the totals.

        Return the number of nodes that were deleted with it.
        """
        ...


class PendingTable(Protocol):
    """Pending jobs by queue. Jobs that have expired by `now` are never returned."""

    def limits(self, queues: Collection[str]) -> dict[str, QueueLimits]:
        """Return the limits of the existing queues, by name."""
        ...

    def starts(self, queue: str, since: int, until: int) -> Starts:
        """Return the starts of a queue after `since` (ms). Delete the records of earlier ones.

        Also delete those after `until`: they date from before the clock was set back.
        """
        ...

    def add_starts(self, queue: str, at: int, count: int) -> None:
        """Record the start of `count` jobs at `at` (ms) in a queue with a rate limit."""
        ...

    def first(self, rooms: Mapping[str, int], now: int) -> dict[str, list[Place]]:
        """Return the first places of each queue of `rooms`, at most as many as `rooms` says."""
        ...

    def first_after(self, queue: str, after: int, now: int, count: int) -> list[Place]:
        """Return the first `count` places of a queue with a seq above `after`."""
        ...

    def keys(self, queue: str) -> list[tuple[str, int]]:
        """Return the concurrency keys of pending jobs, each with its number of active jobs."""
        ...

    def first_without_key(self, queue: str, after: int, now: int, count: int) -> list[Place]:
        """Return the first `count` places of jobs without a concurrency key.

        Their seqs are above `after`.
        """
        ...

    def first_of_keys(
        self, queue: str, rooms: Mapping[str, int], after: int, now: int
    ) -> dict[str, list[Place]]:
        """Return the first places of each key of `rooms`, at most as many as `rooms` says.

        Their seqs are above `after`.
        """
        ...

    def first_in_order(self, queue: str, after: int, now: int, count: int) -> list[Place]:
        """Return the first `count` places with a seq above `after`, at most one per key.

        Leave out the keys of which another job is active, or an earlier one has not ended.
        """
        ...

    def load(self, seqs: list[int], max_bytes: int) -> list[LeasedJob]:
        """Return the first jobs of `seqs`, in this order, whose total size is up to `max_bytes`.

        Return at least one. `seqs` are places of this transaction, and not empty. Read no more
        than twice as many bytes, so that the memory is bounded.
        """
        ...


class EventTable(Protocol):
    """The event log."""

    def of_jobs(self, seqs: Collection[int], types: Collection[EventType]) -> list[Event]:
        """Return the events of these types that the log still has of some jobs, in any order."""
        ...

    def next_id(self) -> int:
        """Return the id of the next event; any number if the engine assigns ids only later."""
        ...

    def append(self, events: list[Event], seqs: list[int], *, are_jobs_there: bool) -> None:
        """Append events; `seqs` has the seq of the job of each.

        `are_jobs_there` is False if the transaction has deleted some of the jobs.
        """
        ...

    def prune(self, before: int, limit: int) -> int:
        """Delete up to `limit` events at `before` or earlier. Return their number.

        The newest event stays, so that event ids keep ascending.
        """
        ...


class ScheduleTable(Protocol):
    """Schedules."""

    def find(self, reference: str, *, by_id: bool) -> ScheduleRecord | None:
        """Return a schedule by its name, or by its id if `by_id` and one matches; else None."""
        ...

    def due(self, now: int, limit: int) -> list[ScheduleRecord]:
        """Return up to `limit` schedules, not paused, with `next_run` by `now`, earliest first."""
        ...

    def save(self, schedule: ScheduleRecord) -> None:
        """Insert or update a schedule."""
        ...

    def remove(self, schedule_id: str) -> None:
        """Delete a schedule."""
        ...


class BulkTable(Protocol):
    """Bulk operations."""

    def find(self, bulk_id: str) -> BulkRecord | None:
        """Return a bulk operation, or None if it does not exist."""
        ...

    def save(self, record: BulkRecord) -> None:
        """Insert or update a bulk operation."""
        ...

    def prune(self, before: int, limit: int) -> int:
        """Delete up to `limit` bulk operations that ended by `before`. Return their number."""
        ...


class ClockTable(Protocol):
    """The offset of the wall clock from the server's time."""

    def set_wall_offset(self, expected: int, offset: int) -> bool:
        """Set the offset (ms) if it is `expected`. Return whether it was."""
        ...


class KeyTable(Protocol):
    """API keys."""

    def lock(self, secret: bytes) -> KeyRing:
        """Return all keys. Other writers wait until the transaction ends.

        `secret` becomes the secret of the keys if they have none.
        """
        ...

    def save(self, keys: Sequence[KeyRecord]) -> None:
        """Insert keys, or update `expires_at` and `revoked_at`. The version of the keys rises."""
        ...

    def note_uses(self, uses: Sequence[KeyUse]) -> None:
        """Store when keys were used, unless a later use is stored already."""
        ...


class KeyUsageTable(Protocol):
    """What API keys with limits use, by the name of the key."""

    def lock(self, names: Collection[str]) -> dict[str, Usage]:
        """Return the usage before the transaction; keys without jobs may lack.

        Other writers that lock one of `names` wait until the transaction ends. Call at most once
        per transaction.
        """
        ...

    def add(self, changes: Sequence[tuple[str, Usage]]) -> None:
        """Add to the usage. `changes` are ordered by name, and each name occurs once."""
        ...


class AuditTable(Protocol):
    """The audit log."""

    def append(self, entries: Sequence[AuditEntry]) -> None:
        """Append entries. The store sets their ids."""
        ...

    def prune(self, before: int, limit: int) -> int:
        """Delete up to `limit` of the oldest entries, up to the first one after `before` (ms).

        Return their number. The newest entry stays, so that ids keep ascending.
        """
        ...


class WebhookTable(Protocol):
    """Webhooks and sources."""

    def lock(self, kind: type[R]) -> Mapping[str, R]:
        """Return all webhooks, or all sources, by name. Other writers wait for the transaction."""
        ...

    def lock_positions(self) -> Mapping[str, int]:
        """Return the position of each webhook by name, and lock them as `lock` does."""
        ...

    def save(self, record: Hook, position: int | None) -> None:
        """Insert or update a record. A position of None leaves the stored one."""
        ...

    def move(self, names: Sequence[str], position: int) -> None:
        """Set the position of webhooks."""
        ...

    def remove(self, kind: type[Hook], name: str) -> None:
        """Delete a webhook or a source."""
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
    clock: ClockTable
    keys: KeyTable
    key_usage: KeyUsageTable
    audit: AuditTable
    webhooks: WebhookTable
