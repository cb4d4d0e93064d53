"""The contract between the engine and a store. Every store implementation fulfils all of it.

A write method submits its request and returns a future, which resolves once the commit is durable.
Each call is one atomic change. Calls that arrive together may share a commit. Enqueues run first in
a commit and fetches last. A request that a guard rejects returns a `Refusal` as its outcome. An
exception means that nothing was written, except `OutcomeUnknown`.
"""

from asyncio import Future
from collections.abc import Callable, Sequence
from typing import Protocol

from corvo_schema import BatchState
from corvo_server.store.audit import Audit, AuditEntry, AuditFilter
from corvo_server.store.batches import BatchRecord
from corvo_server.store.bulk import BulkEdit, BulkOutcome, BulkRecord, BulkStep
from corvo_server.store.emptying import EmptyOutcome, EmptyQueue
from corvo_server.store.keys import KeyChange, KeyEdit, KeyRing, KeyUse
from corvo_server.store.nodes import HeartbeatResult, NodeRecord, NodeReport
from corvo_server.store.queues import (
    QueueRecord,
    QueueSetting,
)
from corvo_server.store.records import (
    Claim,
    Commit,
    Enqueue,
    Enqueued,
    Event,
    Holder,
    JobAction,
    JobRecord,
    LeasedJob,
    Maintain,
    NextTimes,
    Outcome,
    Prune,
    Refusal,
    Transition,
)
from corvo_server.store.schedules import (
    DueSchedules,
    EditOutcome,
    ScheduleEdit,
    ScheduleOutcome,
    ScheduleRecord,
)
from corvo_server.store.search.filters import JobFilter
from corvo_server.store.search.search import Found, Search, SearchLoad
from corvo_server.store.storage import Storage
from corvo_server.store.webhooks import (
    Deliveries,
    HookChange,
    HookEdit,
    R,
    SourceRecord,
    StoredWebhook,
)
from corvo_server.store.workers import WorkerReport


class UnusableStoreError(Exception):
    """Raised when a store cannot be opened. The message tells the operator what to do."""


class StoreError(Exception):
    """Raised when the store failed at a request. Nothing was written, except as noted below."""


class StoreUnavailable(StoreError):
    """Raised when the store cannot work now, e.g. disk full, database down or shutting down."""


class StoreFull(StoreUnavailable):
    """Raised when the disk of the database is full. Deletes may succeed."""


class StoreOverloaded(StoreError):
    """Raised when too many writes are waiting for their commit already."""


class OutcomeUnknown(StoreError):
    """Raised when it is unknown whether a write was stored, e.g. if the answer to a COMMIT is lost.

    The same request again has no second effect if it names its job by id, and its attempt by lease
    token.
    """


class JobsTooLarge(StoreError):
    """Raised when the jobs of one read have too many bytes together."""


class SearchTooSlow(StoreError):
    """Raised when a search was stopped at its time limit. The same search will fail again."""


class Store(Protocol):
    """Stores jobs durably. Write methods need a running event loop; their futures belong to it."""

    node_id: str
    """Id of this server among the nodes that share the database."""

    @property
    def is_shared(self) -> bool:
        """Whether other servers may write to the same database.

        If so, `on_commit` listeners also get an abridged `Commit` for each commit of another server
        (`Commit.is_from_other_node`). Only the event log has the events of all servers in order.
        """
        ...

    @property
    def backlog(self) -> int:
        """Number of writes that were submitted and not answered yet."""
        ...

    @property
    def backlog_bytes(self) -> int:
        """Bytes of memory of the writes that were submitted and not answered yet."""
        ...

    @property
    def failure(self) -> str | None:
        """Why the last commit failed, if the database failed; None after a write succeeded."""
        ...

    def on_enqueue(self, listener: Callable[[Enqueue], None]) -> None:
        """Call `listener` within every call of `enqueue`, before its commit.

        Writes that the listener submits share the commit of the enqueue.
        """
        ...

    def on_commit(self, listener: Callable[[Commit], None]) -> None:
        """Call `listener` on the event loop after every commit, before its futures resolve."""
        ...

    # Writes

    def enqueue(self, request: Enqueue) -> Future[list[Enqueued] | Refusal]:
        """Store all jobs that do not exist yet, with their queues and unique locks.

        Return one `Enqueued` per job, or a `Refusal` of the whole request if the `on_conflict` of
        a job refuses. Existing jobs do not join the batch, and a batch without jobs ends at once.
        No batch is created if no job is new and one of them is in an earlier batch.
        """
        ...

    def transition(self, requests: Sequence[Transition]) -> Future[list[Outcome]]:
        """Move each job as its rule decides from the stored head. Refuse unknown ids.

        Return one outcome per request. Unique locks, batch counts, queue counters, failures and
        events are written in the same transaction.
        """
        ...

    def act(self, action: JobAction) -> Future[list[Outcome]]:
        """Move jobs like `transition`, and record it in the audit log."""
        ...

    def fetch(self, claim: Claim) -> Future[list[LeasedJob]]:
        """Start the first eligible jobs of the queues, by priority, then `seq`, and return them."""
        ...

    def promote(self, chunk: Maintain) -> Future[int]:
        """Move scheduled and retrying jobs that are due. Return their number."""
        ...

    def reclaim(self, chunk: Maintain) -> Future[int]:
        """Move active jobs whose lease has ended. Return their number."""
        ...

    def expire(self, chunk: Maintain) -> Future[int]:
        """Move pending, scheduled and retrying jobs past their `expire_at`. Return their number."""
        ...

    def prune(self, limits: Prune) -> Future[int]:
        """Delete one chunk of each kind of old row. Return the number of deleted rows."""
        ...

    def configure_queue(self, *settings: QueueSetting, audit: Audit | None = None) -> Future[None]:
        """Change settings of queues, all or none. Create the queues that do not exist.

        With `audit`, all settings are of one queue, and the change is recorded in the audit log.
        """
        ...

    def empty_queue(self, request: EmptyQueue) -> Future[EmptyOutcome]:
        """Delete jobs of a queue and, if asked, the queue: now, or by a bulk operation.

        A queue that has other jobs stays for them, with the settings of a new queue.
        """
        ...

    def edit_schedule(self, edit: ScheduleEdit) -> Future[EditOutcome]:
        """Change one schedule as the rule decides from the stored schedule, and enqueue its job.

        The schedule and the job are written in one transaction. Refuse a name that another
        schedule has.
        """
        ...

    def run_schedules(self, due: DueSchedules) -> Future[list[ScheduleOutcome]]:
        """Handle the occurrences of due schedules as the rule decides, and enqueue their jobs.

        Return one outcome per due schedule.
        """
        ...

    def edit_bulk(self, edit: BulkEdit) -> Future[BulkOutcome]:
        """Create or change a bulk operation as the rule of `edit` decides. Return the outcome."""
        ...

    def step_bulk(self, step: BulkStep) -> Future[BulkRecord | None]:
        """Apply one chunk of a bulk operation and store the progress.

        A chunk changes nothing if the operation has ended or is not at the start of the chunk.
        Return the bulk operation as stored, or None if it does not exist.
        """
        ...

    def edit_keys(self, edit: KeyEdit) -> Future[KeyChange]:
        """Change API keys as the rule decides from all stored keys. Return its decision."""
        ...

    def note_key_uses(self, uses: Sequence[KeyUse]) -> Future[None]:
        """Store when keys were used, unless a later use is stored already."""
        ...

    def edit_webhook(self, edit: HookEdit[R]) -> Future[HookChange[R] | Refusal]:
        """Change a webhook or a source as the rule decides from all stored ones of that kind.

        Return the decision. The queue of a webhook's deliveries is created with it.
        """
        ...

    def deliver(self, deliveries: Deliveries) -> Future[bool | Refusal]:
        """Enqueue deliveries and store the positions of their webhooks, both or nothing.

        Return False if the stored position of a webhook is not the expected one.
        """
        ...

    def touch(self) -> Future[None]:
        """Write to the database without changing what it stores."""
        ...

    # Reads

    async def find_jobs(
        self, job_ids: Sequence[str], max_bytes: int | None = None
    ) -> list[JobRecord]:
        """Return the existing jobs of these ids in the given order, with failures, without events.

        A repeated id yields its job once. Raises `JobsTooLarge` if several jobs have more than
        `max_bytes` bytes of documents and errors.
        """
        ...

    async def find_job(self, job_id: str) -> JobRecord | None:
        """Return a job with its failures and events, or None if it does not exist."""
        ...

    async def find_batch(self, batch_id: str) -> BatchRecord | None:
        """Return a batch with its counts, or None if it does not exist."""
        ...

    async def list_batches(
        self, before: str | None, limit: int, state: BatchState | None
    ) -> list[BatchRecord]:
        """Return up to `limit` batches, newest first, all or only those in `state`.

        `before` is the last batch id of the previous page. The order is that of the ids, which
        begin with the time of creation.
        """
        ...

    async def queues_of_batches(self, batch_ids: Sequence[str]) -> dict[str, set[str]]:
        """Return the queues of the stored jobs of batches, by batch. One without jobs is absent."""
        ...

    async def search(self, request: Search) -> Found:
        """Return one page of the matching jobs, read from one snapshot.

        Raises `SearchTooSlow` at the time limit, and `StoreUnavailable` if other searches kept this
        one from starting in time.
        """
        ...

    async def matching_ids(
        self, wanted: JobFilter, after_seq: int, limit: int, caller: str | None = None
    ) -> list[tuple[int, str]]:
        """Return (seq, id) of the first `limit` matching jobs with a seq above `after_seq`, by seq.

        `caller` is that of `Search`. Raises the errors of `search`.
        """
        ...

    @property
    def search_load(self) -> SearchLoad:
        """How many searches run, wait, and were refused."""
        ...

    async def list_queues(self) -> list[QueueRecord]:
        """Return all queues, ordered by name, with their counters from one snapshot."""
        ...

    async def find_queue(self, name: str) -> QueueRecord | None:
        """Return a queue with its counters, or None if it does not exist."""
        ...

    async def read_events(self, after: int, limit: int, max_data: int | None = None) -> list[Event]:
        """Return up to `limit` events of the log with an id above `after`, oldest first.

        Stop early, but after one event at least, if their data is longer than `max_data`.
        """
        ...

    async def last_event_id(self) -> int:
        """Return the id of the newest event; 0 if there has been no event yet."""
        ...

    async def list_holders(self) -> list[Holder]:
        """Return the workers that have active jobs, with the number of jobs by queue."""
        ...

    async def list_schedules(self) -> list[ScheduleRecord]:
        """Return all schedules, ordered by name."""
        ...

    async def find_schedule(self, reference: str) -> ScheduleRecord | None:
        """Return the schedule with this id, or else with this name; None if there is none."""
        ...

    async def find_bulk(self, bulk_id: str) -> BulkRecord | None:
        """Return a bulk operation, or None if it does not exist."""
        ...

    async def list_bulks(self, limit: int) -> list[BulkRecord]:
        """Return up to `limit` bulk operations, newest first.

        Their `request` has only what decides who sees them: the scope, or the emptied queue.
        """
        ...

    async def next_bulk(self) -> BulkRecord | None:
        """Return the oldest bulk operation that has not ended, or None if all have."""
        ...

    async def last_seq(self) -> int:
        """Return the seq of the newest job; 0 if no job was ever enqueued."""
        ...

    async def next_times(self) -> NextTimes:
        """Return the earliest due time, lease end and expiry of all jobs, and next occurrence."""
        ...

    async def list_keys(self) -> KeyRing:
        """Return all API keys, also revoked and expired ones."""
        ...

    async def keys_version(self) -> int:
        """Return the version of the API keys; 0 if there was never one."""
        ...

    async def list_audit(
        self, wanted: AuditFilter, before: int | None, limit: int
    ) -> list[AuditEntry]:
        """Return up to `limit` matching entries of the audit log, newest first.

        `before` is the id of the last entry of the previous page.
        """

    async def list_webhooks(self) -> list[StoredWebhook]:
        """Return all webhooks with their positions, ordered by name."""
        ...

    async def list_sources(self) -> list[SourceRecord]:
        """Return all sources of webhooks, ordered by name."""
        ...

    async def tags_of(self, job_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return the tags of the existing jobs that have some, by id."""
        ...

    # Nodes

    async def beat(self, report: NodeReport, lease_ms: int) -> HeartbeatResult:
        """Store a node's heartbeat. Acquire the leader lease if it is free, renew it if it is ours.

        The leader lease ends `lease_ms` ms later by the store's clock, unless it is renewed.
        """
        ...

    async def set_wall_offset(self, expected: int, offset: int) -> bool:
        """Replace the stored offset of the wall clock (ms), if it is `expected`. Return whether.

        It is 0 at first. Heartbeats return it to all nodes.
        """
        ...

    async def leave(self, node_id: str) -> None:
        """Delete a node, and release the leader lease if the node holds it."""
        ...

    async def list_nodes(self) -> list[NodeRecord]:
        """Return the nodes that sent a heartbeat within the last hour and have not left."""
        ...

    # Workers that called the nodes. A store that is not shared keeps no reports.

    async def report_workers(self, reports: Sequence[WorkerReport]) -> None:
        """Store reports of this node. Each replaces its earlier report on that worker."""
        ...

    async def forget_workers(self, before: int, own_before: int) -> None:
        """Delete the reports with `last_seen` until `before`, of all nodes.

        Also delete the reports of this node with `last_seen` before `own_before`.
        """
        ...

    async def list_workers(self, since: int) -> list[WorkerReport]:
        """Return the reports of the other nodes with `last_seen` after `since`, by worker."""
        ...

    # Life

    async def check(self) -> None:
        """Raise `StoreUnavailable` unless the store can be read and its writer accepts writes."""
        ...

    async def check_ready(self) -> None:
        """Raise `StoreUnavailable` with the reason if `check` fails, or if writes would.

        Writes would fail if the last commit failed. On SQLite, also if a file was removed or
        replaced, if a test file cannot be written, or if checkpoints have failed for 30 s.
        """
        ...

    @property
    def storage(self) -> Storage | None:
        """The last measures of the disk; None if the database is on another machine."""
        ...

    async def close(self) -> None:
        """Commit all submitted writes, then close. Later calls raise `StoreUnavailable`."""
        ...
