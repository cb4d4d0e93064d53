"""Bulk operations: one action on many jobs, in chunks; workers keep getting jobs meanwhile."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from time import perf_counter

from msgspec import Struct
from msgspec.structs import replace

from corvo_schema import BulkAction, BulkRequest, BulkStatus, IdFactory
from corvo_schema.errors import ErrorCode
from corvo_server.engine import lifecycle
from corvo_server.engine.clock import Clock
from corvo_server.engine.errors import CallError, not_found
from corvo_server.engine.search import job_filter, too_slow
from corvo_server.engine.sweep import CHUNK, apply_to
from corvo_server.engine.verbs import Part, verb
from corvo_server.store.bulk import UNENDED, BulkEdit, BulkOutcome, BulkRecord, BulkStep
from corvo_server.store.protocol import SearchTooSlow, Store
from corvo_server.store.records import (
    Decide,
    JobHead,
    Outcome,
    Refusal,
    Transition,
)
from corvo_server.store.search.filters import JobFilter
from corvo_server.store.search.search import Search

_AT_ONCE = 10_000
"""With more jobs than these, an operation goes to the background."""
_LISTED = 100


class BulkDone(Struct, frozen=True):
    """What an operation did that was done at once."""

    affected: int
    errors: int
    seconds: float


class Bulk(Part):
    """Verbs on bulk operations."""

    def __init__(self, store: Store, clock: Clock, ids: IdFactory) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._news = asyncio.Event()
        self.work = asyncio.Event()
        """Set when there is an operation to do in the background."""

    @verb
    async def run(self, request: BulkRequest) -> BulkDone | BulkRecord:
        """Do the action on all jobs that are meant, or take it into the background."""
        try:
            return await self._run(request)
        except SearchTooSlow as error:
            if request.filter is None:
                raise
            raise too_slow(error, request.filter, at="filter.") from None

    async def _run(self, request: BulkRequest) -> BulkDone | BulkRecord:
        started = perf_counter()
        last_seq = await self._store.last_seq()
        job_ids = request.job_ids
        if job_ids is None:
            matching = await self._matching(request, 0, last_seq, _AT_ONCE + 1)
            job_ids = [job_id for _, job_id in matching]
        if request.run_async or len(job_ids) > _AT_ONCE:
            return await self._begin(request, len(job_ids), last_seq)
        tally = await apply_to(self._store, job_ids, rule_of(request, self._clock()))
        return BulkDone(tally.affected, tally.errors, perf_counter() - started)

    @verb
    async def get(self, bulk_id: str) -> BulkRecord:
        """One operation in the background."""
        record = await self._store.find_bulk(bulk_id)
        if record is None:
            raise not_found(f"bulk operation {bulk_id}")
        return record

    @verb
    async def list(self) -> list[BulkRecord]:
        """The newest operations first."""
        return await self._store.list_bulks(_LISTED)

    @verb
    async def cancel(self, bulk_id: str) -> BulkRecord:
        """Stop an operation after the chunk at hand; what it did stays done."""
        edit = BulkEdit(bulk_id, partial(_cancelled, bulk_id=bulk_id, now=self._clock()))
        outcome = await self._store.edit_bulk(edit)
        if isinstance(outcome, Refusal):
            raise CallError.of(outcome)
        self._spread_news()
        return outcome

    async def follow(self, bulk_id: str, patience: float) -> AsyncGenerator[BulkRecord]:
        """Yield the operation as it stands, then whenever it has got further, until it has ended.

        After `patience` seconds without news, it is looked up and yielded again.
        """
        while True:
            news = self._news
            record = await self.get(bulk_id)
            yield record
            if record.status not in UNENDED:
                return
            try:
                await asyncio.wait_for(news.wait(), patience)
            except TimeoutError:
                continue

    @verb
    async def step(self) -> bool:
        """Do the next chunk of the oldest operation that has not ended; whether there was one."""
        record = await self._store.next_bulk()
        if record is None:
            return False
        try:
            await self._store.step_bulk(await self._next_step(record))
        except SearchTooSlow as error:
            now = self._clock()
            await self._store.edit_bulk(BulkEdit(record.id, partial(_failed, why=error, now=now)))
        self._spread_news()
        return True

    async def _next_step(self, record: BulkRecord) -> BulkStep:
        request = BulkRequest.model_validate_json(record.request)
        if request.job_ids is None:
            matching = await self._matching(request, record.cursor, record.last_seq, CHUNK)
            job_ids = [job_id for _, job_id in matching]
            cursor = matching[-1][0] if matching else record.cursor
            is_last = len(matching) < CHUNK
        else:
            cursor = record.cursor + CHUNK
            job_ids = request.job_ids[record.cursor : cursor]
            is_last = cursor >= len(request.job_ids)
        now = self._clock()
        decide = rule_of(request, now)
        transitions = [Transition(job_id, decide) for job_id in job_ids]
        return BulkStep(record.id, transitions, cursor, is_last, now)

    async def _begin(self, request: BulkRequest, counted: int, last_seq: int) -> BulkRecord:
        now = self._clock()
        record = BulkRecord(
            id=self._ids.bulk(),
            request=request.model_dump_json(by_alias=True, exclude_unset=True),
            action=request.action.value,
            status=BulkStatus.QUEUED,
            total=counted if counted <= _AT_ONCE else await self._count(request),
            processed=0,
            affected=0,
            errors=0,
            error=None,
            cursor=0,
            last_seq=last_seq,
            created_at=now,
            updated_at=now,
            finished_at=None,
        )
        await self._store.edit_bulk(BulkEdit(record.id, lambda _: record))
        self.work.set()
        return record

    async def _count(self, request: BulkRequest) -> int:
        found = await self._store.search(Search(_wanted(request), self._clock(), limit=1))
        return found.total.jobs

    async def _matching(
        self, request: BulkRequest, after: int, up_to: int, limit: int
    ) -> Sequence[tuple[int, str]]:
        found = await self._store.matching_ids(_wanted(request), after, limit)
        return [(seq, job_id) for seq, job_id in found if seq <= up_to]

    def _spread_news(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


def _wanted(request: BulkRequest) -> JobFilter:
    if request.filter is None:
        raise ValueError("the operation names its jobs")
    return job_filter(request.filter, at="filter.")


def rule_of(request: BulkRequest, now: int) -> Decide:
    """What the action of a request does to a job."""
    match request.action:
        case BulkAction.RETRY:
            return partial(_retry_finished, now=now)
        case BulkAction.DELETE:
            return partial(lifecycle.delete, now=now)
        case BulkAction.CANCEL:
            return partial(lifecycle.cancel, now=now)
        case BulkAction.MOVE:
            return partial(lifecycle.move, queue=request.move_to_queue or "", now=now)
        case BulkAction.REQUEUE:
            return partial(lifecycle.requeue, now=now)
        case BulkAction.CHANGE_PRIORITY:
            priority = request.priority
            if priority is None:  # the model has made sure
                raise ValueError("change_priority without a priority")
            return partial(lifecycle.change_priority, priority=priority, now=now)


def _retry_finished(job: JobHead, now: int) -> Outcome:
    """Unlike the retry of one job, that of many leaves those alone that will run anyway."""
    if not job.state.is_finished:
        return Refusal(
            ErrorCode.INVALID_STATE, f"Job {job.id} is {job.state.value} and will run.", job.state
        )
    return lifecycle.retry(job, now)


def _failed(record: BulkRecord | None, *, why: Exception, now: int) -> BulkOutcome:
    if record is None or record.status not in UNENDED:
        return Refusal(ErrorCode.INVALID_STATE, "The operation has ended meanwhile.")
    error = f"stopped: {why}"
    return replace(record, status=BulkStatus.FAILED, error=error, updated_at=now, finished_at=now)


def _cancelled(record: BulkRecord | None, *, bulk_id: str, now: int) -> BulkOutcome:
    if record is None:
        return Refusal(ErrorCode.NOT_FOUND, f"There is no bulk operation {bulk_id}.")
    if record.status not in UNENDED:
        message = f"Bulk operation {bulk_id} is {record.status.value} already."
        return Refusal(ErrorCode.INVALID_STATE, message)
    return replace(record, status=BulkStatus.CANCELLED, updated_at=now, finished_at=now)
