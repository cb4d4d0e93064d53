"""Bulk operations: one action on many jobs, in chunks, so that workers are served in between."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from functools import partial
from time import perf_counter

from msgspec import Struct

from corvo_schema import BulkRequest, BulkStatus, IdFactory
from corvo_schema.audit import AuditOperation
from corvo_server.auth.caller import caller as current_caller
from corvo_server.auth.scope import Scope
from corvo_server.engine import bulk_rules, emptying
from corvo_server.engine.access import check_queue, if_seen, if_within, scope_of_caller, within
from corvo_server.engine.audit import audited
from corvo_server.engine.clock import Clock, wall_of
from corvo_server.engine.errors import CallError, not_found
from corvo_server.engine.keys import Keys
from corvo_server.engine.search import job_filter, too_slow
from corvo_server.engine.verbs import Part, verb
from corvo_server.store.audit import Audit
from corvo_server.store.bulk import (
    UNENDED,
    BulkEdit,
    BulkRecord,
    BulkStep,
)
from corvo_server.store.protocol import SearchTooSlow, Store, StoreError
from corvo_server.store.records import (
    Change,
    JobAction,
    Refusal,
    Removal,
    Transition,
)
from corvo_server.store.search.filters import JobFilter
from corvo_server.store.search.search import Search
from corvo_server.store.sizes import memory_of

AT_ONCE = 250
"""Maximum number of jobs of a call that runs in one transaction; more need a bulk operation."""
CHUNK = 250
"""Number of jobs of a bulk operation per commit, so that workers are served in between."""
_MAX_SYNCHRONOUS = 10_000
"""Maximum number of jobs of an operation for whose end the call waits."""
_LONGEST_WAIT = 5.0
"""Seconds for which a call waits for the end of its operation."""
_LOOK_EVERY = 0.1
"""Seconds between two looks at an operation: another server may carry it out."""
_HIDDEN = frozenset({"payload_contains", "payload_jq", "error_contains"})
"""Filters that may repeat a part of a payload: the audit log only says that they were given."""
_RUNNER = "bulk operations in the background"
"""The caller of their searches."""
_LISTED = 100
"""Number of operations in a list."""
_MAX_LOOKED_AT = 1_000
"""Number of the latest operations among which those that the caller sees are looked for."""


class BulkDone(Struct, frozen=True):
    """Result of an operation that ended within its request."""

    affected: int
    errors: int
    seconds: float


class Bulk(Part):
    """Verbs on bulk operations."""

    def __init__(self, store: Store, clock: Clock, ids: IdFactory, keys: Keys) -> None:
        self._store = store
        self._clock = clock
        self._wall = wall_of(clock)
        self._ids = ids
        self._keys = keys
        self._changed = asyncio.Event()
        self._is_closing = False
        self.work = asyncio.Event()
        """Set when an operation waits to run in the background."""

    @verb
    async def run(self, request: BulkRequest, caller: str | None = None) -> BulkDone | BulkRecord:
        """Apply the action to all selected jobs: in one transaction, or as a bulk operation.

        Return the operation if it does not end soon. `caller` is the address for which the jobs are
        searched. Raise `CallError` if the search takes too long.
        """
        try:
            return await self._run(request, caller)
        except SearchTooSlow as error:
            if request.filter is None:
                raise
            raise too_slow(error, request.filter, at="filter.") from None

    async def _run(self, request: BulkRequest, caller: str | None) -> BulkDone | BulkRecord:
        started = perf_counter()
        if request.move_to_queue is not None:
            check_queue(request.move_to_queue, "move_to_queue")
        last_seq = await self._store.last_seq()
        job_ids = request.job_ids
        if job_ids is None:
            matching = await self._matching(
                request,
                scope_of_caller(),
                0,
                last_seq,
                limit=_MAX_SYNCHRONOUS + 1,
                caller=caller,
            )
            job_ids = [job_id for _, job_id in matching]
        is_background = request.run_async or len(job_ids) > _MAX_SYNCHRONOUS
        if not is_background and len(job_ids) <= AT_ONCE:
            changed, refused = await self._apply(request, job_ids)
            return BulkDone(changed, refused, perf_counter() - started)
        record = await self._begin(request, len(job_ids), last_seq, caller)
        if is_background:
            return record
        record = await self.wait_for_end(record)
        if record.status is not BulkStatus.COMPLETED:
            return record
        return BulkDone(record.affected, record.errors, perf_counter() - started)

    async def _apply(self, request: BulkRequest, job_ids: Sequence[str]) -> tuple[int, int]:
        """Apply the action in one transaction. Return how many jobs changed and were refused."""
        now, actor = self._clock(), current_caller().actor
        decide = if_seen(bulk_rules.limited_rule_of(request, now))
        moves = [Transition(job_id, decide, actor=actor) for job_id in job_ids]
        outcomes = await self._store.act(JobAction(moves, _audited(request, now), is_bulk=True))
        changed = sum(isinstance(outcome, Change | Removal) for outcome in outcomes)
        return changed, sum(isinstance(outcome, Refusal) for outcome in outcomes)

    @verb
    async def wait_for_end(self, stored: BulkRecord) -> BulkRecord:
        """Return a stored operation after its end, or as it is after some seconds.

        Never raise: the operation goes on, whatever happens to the call.
        """
        latest = stored
        with suppress(TimeoutError, StoreError, CallError):
            async with (
                asyncio.timeout(_LONGEST_WAIT),
                aclosing(self.follow(stored.id, _LOOK_EVERY)) as records,
            ):
                async for record in records:
                    latest = record
        return latest

    @verb
    async def get(self, bulk_id: str) -> BulkRecord:
        """Return a background operation. Raise `CallError` if it does not exist."""
        record = await self._store.find_bulk(bulk_id)
        if record is None or not bulk_rules.is_seen(record, scope_of_caller()):
            raise not_found(f"bulk operation {bulk_id}")
        return record

    @verb
    async def list(self) -> list[BulkRecord]:
        """Return the latest background operations that the caller sees, newest first."""
        scope = scope_of_caller()
        if scope is None:
            return await self._store.list_bulks(_LISTED)
        records = await self._store.list_bulks(_MAX_LOOKED_AT)
        return [record for record in records if bulk_rules.is_seen(record, scope)][:_LISTED]

    @verb
    async def cancel(self, bulk_id: str) -> BulkRecord:
        """Stop an operation after its current chunk. Its changes so far remain."""
        now = self._clock()
        rule = partial(bulk_rules.cancelled, bulk_id=bulk_id, scope=scope_of_caller(), now=now)
        audit = audited(AuditOperation.CANCEL_BULK, now, target=bulk_id)
        outcome = await self._store.edit_bulk(BulkEdit(bulk_id, rule, audit=audit))
        if isinstance(outcome, Refusal):
            raise CallError.of(outcome)
        self._wake_followers()
        return outcome

    async def follow(self, bulk_id: str, interval: float) -> AsyncGenerator[BulkRecord]:
        """Yield the operation now and after each change, until it has ended or the server stops.

        Yield it again after `interval` seconds without a change. End when the server closes, or
        when the key of the caller ends.
        """
        who = current_caller()
        while self._keys.is_valid(who):
            changed = self._changed
            record = await self.get(bulk_id)
            yield record
            if record.status not in UNENDED or self._is_closing:
                return
            try:
                await asyncio.wait_for(changed.wait(), interval)
            except TimeoutError:
                continue

    def note_keys(self) -> None:
        """Let the followers look whether their keys are still valid."""
        self._wake_followers()

    def close(self) -> None:
        """End all `follow` and `wait_for_end`. The operations continue on the next leader."""
        self._is_closing = True
        self._wake_followers()

    @verb
    async def step(self) -> bool:
        """Run the next chunk of the oldest unfinished operation. Return False if none is left."""
        record = await self._store.next_bulk()
        if record is None:
            return False
        try:
            await self._store.step_bulk(await self._next_step(record))
        except SearchTooSlow as error:
            now = self._clock()
            rule = partial(bulk_rules.failed, why=error, now=now)
            end = audited(AuditOperation.END_BULK, now)
            await self._store.edit_bulk(BulkEdit(record.id, rule, audit=end))
        self._wake_followers()
        return True

    async def _next_step(self, record: BulkRecord) -> BulkStep:
        request = bulk_rules.parsed(record.request)
        scope = None if record.scope is None else Scope(record.scope)
        if request.job_ids is None:
            matching = await self._matching(
                request,
                scope,
                record.cursor,
                record.last_seq,
                limit=CHUNK,
                caller=_RUNNER,
            )
            job_ids = [job_id for _, job_id in matching]
            cursor = matching[-1][0] if matching else record.cursor
            is_last = len(matching) < CHUNK
        else:
            cursor = record.cursor + CHUNK
            job_ids = request.job_ids[record.cursor : cursor]
            is_last = cursor >= len(request.job_ids)
        now = self._clock()
        queue = record.emptied_queue
        if queue is None:
            decide = bulk_rules.limited_rule_of(request, now)
        else:
            decide = emptying.rule_of(record.action, queue, now)
        decide = if_within(scope, decide)
        actor = record.actor
        transitions = [Transition(job_id, decide, actor=actor) for job_id in job_ids]
        end = audited(AuditOperation.END_BULK, now)
        return BulkStep(record.id, record.cursor, transitions, cursor, is_last, now, end)

    async def _begin(
        self, request: BulkRequest, count: int, last_seq: int, caller: str | None
    ) -> BulkRecord:
        total = count if count <= _MAX_SYNCHRONOUS else await self._count(request, caller)
        record = self.new_record(request, total, last_seq, request.action.value)
        scope = scope_of_caller()
        if scope is not None:
            record = record.within(scope.globs)
        memory = memory_of(record.request)
        audit = _audited(request, record.created_at)
        await self._store.edit_bulk(BulkEdit(record.id, lambda _: record, memory, audit))
        self.work.set()
        return record

    def new_record(
        self, request: BulkRequest, total: int, last_seq: int, action: str
    ) -> BulkRecord:
        """Return an operation that waits to begin, on jobs up to `last_seq`. Do not store it."""
        now = self._clock()
        record = BulkRecord(
            id=self._ids.bulk(),
            request=request.model_dump_json(by_alias=True, exclude_unset=True),
            action=action,
            status=BulkStatus.QUEUED,
            total=total,
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
        return record.begun_by(current_caller().actor)

    async def _count(self, request: BulkRequest, caller: str | None) -> int:
        search = Search(
            await self._filter_of(request, scope_of_caller()),
            self._clock(),
            limit=1,
            caller=caller,
        )
        found = await self._store.search(search)
        return found.total.jobs

    async def _matching(
        self,
        request: BulkRequest,
        scope: Scope | None,
        after: int,
        up_to: int,
        *,
        limit: int,
        caller: str | None,
    ) -> Sequence[tuple[int, str]]:
        wanted = await self._filter_of(request, scope)
        found = await self._store.matching_ids(wanted, after, limit, caller)
        return [(seq, job_id) for seq, job_id in found if seq <= up_to]

    async def _filter_of(self, request: BulkRequest, scope: Scope | None) -> JobFilter:
        if request.filter is None:
            raise ValueError("the bulk operation has job_ids and no filter")
        wanted = job_filter(request.filter, at="filter.", wall_offset=self._wall.offset)
        return await within(scope, wanted, self._store)

    def _wake_followers(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _audited(request: BulkRequest, now: int) -> Audit:
    """Return what the audit log records of a request: no part of a payload, and not all ids."""
    asked = request.model_dump(mode="json", by_alias=True, exclude_unset=True)
    asked.pop("async", None)
    wanted = asked.get("filter") or {}
    wanted.update(dict.fromkeys(_HIDDEN.intersection(wanted), "hidden"))
    if request.job_ids is not None:
        asked |= {"job_ids": request.job_ids[:AT_ONCE], "jobs": len(request.job_ids)}
    return audited(AuditOperation.BULK, now, queue=wanted.get("queue"), asked=asked)
