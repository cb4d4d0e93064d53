"""What an engine needs of a store. Everything here holds for every implementation.

Writes are submitted, and answered by a future once the commit that holds them is durable. One call
is one atomic change; calls that arrive together may share a commit, in which enqueues come first
and fetches last. A guard that does not hold is an outcome; an exception means that nothing was
written.
"""

from asyncio import Future
from collections.abc import Callable, Sequence
from typing import Protocol

from corvo_schema import BatchState
from corvo_server.store.batches import (
    BatchRecord,
)
from corvo_server.store.bulk import BulkEdit, BulkOutcome, BulkRecord, BulkStep
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
from corvo_server.store.search.search import Found, Search


class UnusableStoreError(Exception):
    """A store cannot be opened. The message says to the operator what to do."""


class StoreError(Exception):
    """The store could not do it; nothing was written."""


class StoreUnavailable(StoreError):
    """The store cannot write now: disk full, file gone, database down, shutting down."""


class StoreOverloaded(StoreError):
    """Too many writes are waiting already."""


class SearchTooSlow(StoreError):
    """The search took longer than one may, and was stopped."""


class Store(Protocol):
    """A durable home of jobs. Submitting needs a running event loop; results arrive on it."""

    node_id: str
    """What this server is called among those that work here."""

    @property
    def is_shared(self) -> bool:
        """Whether other servers may write here, too.

        Then `on_commit` listeners hear of their commits as well, in short (`Commit.is_from_other_node`), and
        the events of a commit are not all there are: the log alone has them in one order.
        """
        ...

    @property
    def backlog(self) -> int:
        """Writes that were submitted and are not answered yet."""
        ...

    def on_enqueue(self, listener: Callable[[Enqueue], None]) -> None:
        """Call `listener` within every `enqueue`, before its commit.

        What the listener submits shares the commit of the enqueue.
        """
        ...

    def on_commit(self, listener: Callable[[Commit], None]) -> None:
        """Call `listener` on the event loop after every commit, before its answers are given."""
        ...

    # Writes

    def enqueue(self, request: Enqueue) -> Future[list[Enqueued] | Refusal]:
        """Store all jobs, or say which exist already. Takes unique locks; creates queues.

        Jobs found to exist are no part of the batch; one that is left without jobs ends at once.
        There is no new batch when the jobs are known by their ids already, from an earlier one.
        If the `on_conflict` of a job refuses, the whole request is refused.
        """
        ...

    def transition(self, requests: Sequence[Transition]) -> Future[list[Outcome]]:
        """Move each job as its rule decides on the stored head; an unknown id is refused.

        Locks, batch counts, queue counters, failures and events are written with it.
        """
        ...

    def fetch(self, claim: Claim) -> Future[list[LeasedJob]]:
        """Start the first pending jobs of the queues that may run one: by priority, then `seq`."""
        ...

    def promote(self, chunk: Maintain) -> Future[int]:
        """Move scheduled and retrying jobs that are due; how many."""
        ...

    def reclaim(self, chunk: Maintain) -> Future[int]:
        """Move active jobs whose lease has ended; how many."""
        ...

    def expire(self, chunk: Maintain) -> Future[int]:
        """Move jobs that wait (pending, scheduled, retrying) past their `expire_at`; how many."""
        ...

    def prune(self, limits: Prune) -> Future[int]:
        """Remove what is older than `limits` allow, a chunk of each kind; how many rows went."""
        ...

    def configure_queue(self, setting: QueueSetting) -> Future[None]:
        """Change one setting of a queue, creating the queue if need be."""
        ...

    def drop_queue(self, name: str) -> Future[bool]:
        """Forget a queue that has no jobs, with its settings and totals; whether it had none."""
        ...

    def edit_schedule(self, edit: ScheduleEdit) -> Future[EditOutcome]:
        """Change one schedule as the rule decides on what is stored; a job of it is enqueued too.

        A name that another schedule has is refused.
        """
        ...

    def run_schedules(self, due: DueSchedules) -> Future[list[ScheduleOutcome]]:
        """Deal with the occurrences of due schedules as the rule decides, and enqueue their jobs."""
        ...

    def edit_bulk(self, edit: BulkEdit) -> Future[BulkOutcome]:
        """Begin or change a bulk operation as the rule of the edit decides."""
        ...

    def step_bulk(self, step: BulkStep) -> Future[BulkRecord | None]:
        """Do a chunk of a bulk operation and write its progress, unless it has ended meanwhile."""
        ...

    # Reads

    async def find_jobs(self, job_ids: Sequence[str]) -> list[JobRecord]:
        """The jobs of these ids that exist, in the order asked for, without failures' events."""
        ...

    async def find_job(self, job_id: str) -> JobRecord | None:
        """One job with its failures and events."""
        ...

    async def find_batch(self, batch_id: str) -> BatchRecord | None:
        """One batch with its counts."""
        ...

    async def list_batches(
        self, before: str | None, limit: int, state: BatchState | None
    ) -> list[BatchRecord]:
        """Up to `limit` batches, the newest first: by id, which begins with the time.

        `before` is the id of the last one of the page before; `state` chooses.
        """
        ...

    async def search(self, request: Search) -> Found:
        """One page of the jobs that match, as of one moment.

        Raises `SearchTooSlow`; `StoreUnavailable` when others leave it no time to begin.
        """
        ...

    async def matching_ids(
        self, wanted: JobFilter, after_seq: int, limit: int
    ) -> list[tuple[int, str]]:
        """The (seq, id) of the first `limit` matching jobs beyond `after_seq`, by seq.

        Raises `SearchTooSlow`, and `StoreUnavailable` as `search` does.
        """
        ...

    async def list_queues(self) -> list[QueueRecord]:
        """All queues by name, with their counters as of one moment."""
        ...

    async def find_queue(self, name: str) -> QueueRecord | None:
        """One queue with its counters."""
        ...

    async def read_events(self, after: int, limit: int) -> list[Event]:
        """The next events of the log after an id, oldest first."""
        ...

    async def last_event_id(self) -> int:
        """The id of the newest event; 0 before the first."""
        ...

    async def list_holders(self) -> list[Holder]:
        """The workers that hold active jobs, and how many."""
        ...

    async def list_schedules(self) -> list[ScheduleRecord]:
        """All schedules by name."""
        ...

    async def find_schedule(self, reference: str) -> ScheduleRecord | None:
        """One schedule by its id, else by its name."""
        ...

    async def find_bulk(self, bulk_id: str) -> BulkRecord | None:
        """One bulk operation."""
        ...

    async def list_bulks(self, limit: int) -> list[BulkRecord]:
        """The newest bulk operations first."""
        ...

    async def next_bulk(self) -> BulkRecord | None:
        """The oldest bulk operation that has not ended."""
        ...

    async def last_seq(self) -> int:
        """The seq of the job that was enqueued last; 0 before the first."""
        ...

    async def next_times(self) -> NextTimes:
        """The earliest due time, lease end and expiry of all stored jobs, and occurrence of schedules."""
        ...

    # Nodes

    async def beat(self, report: NodeReport, lease_ms: int) -> HeartbeatResult:
        """Keep a report, and take the lead for `lease_ms` if nobody has it, or go on having it.

        The lead of a node ends with its lease, by the store's clock, unless it reports in time.
        """
        ...

    async def leave(self, node_id: str) -> None:
        """Forget a node, and free the lead if it has it."""
        ...

    async def list_nodes(self) -> list[NodeRecord]:
        """The nodes that have reported and not left, for an hour."""
        ...

    # Life

    async def check(self) -> None:
        """Raise `StoreUnavailable` unless the store can be read and its writer takes work."""
        ...

    async def close(self) -> None:
        """Finish what was submitted, then close. Later calls raise `StoreUnavailable`."""
        ...
