"""Verbs on schedules, which enqueue jobs at the times of a calendar."""

import logging
from collections.abc import Callable, Sequence
from functools import partial

import orjson
from msgspec import structs

from corvo_schema import IdFactory, ScheduleRequest
from corvo_schema.audit import AuditOperation
from corvo_schema.errors import ErrorCode
from corvo_schema.options import BUILT_IN
from corvo_server.auth.caller import caller
from corvo_server.engine import cron, occurrences
from corvo_server.engine.access import check_queue, is_seen
from corvo_server.engine.alarm import Alarm
from corvo_server.engine.audit import audited
from corvo_server.engine.clock import Clock, wall_of
from corvo_server.engine.errors import CallError, not_found
from corvo_server.engine.options import options_of
from corvo_server.engine.payloads import payload_text
from corvo_server.engine.redaction import Redaction
from corvo_server.engine.verbs import Part, verb
from corvo_server.engine.workers import Workers
from corvo_server.store.audit import Audit
from corvo_server.store.options import ScheduleOptions, write_options
from corvo_server.store.protocol import Store, StoreFull
from corvo_server.store.records import Enqueued, Refusal
from corvo_server.store.schedules import (
    DueSchedules,
    ScheduleChange,
    ScheduleEdit,
    ScheduleOutcome,
    ScheduleRecord,
)
from corvo_server.store.sizes import memory_of

log = logging.getLogger(__name__)

_CHUNK = 100
"""Maximum number of schedules that one `run_due` processes."""

_Rule = Callable[[ScheduleRecord], ScheduleChange]


class Schedules(Part):
    """Verbs on schedules. A schedule is referred to by its id or by its name."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ids: IdFactory,
        workers: Workers,
        redaction: Redaction,
        *,
        max_payload_bytes: int,
    ) -> None:
        self._store = store
        self._workers = workers
        self._redaction = redaction
        self._clock = clock
        self._wall = wall_of(clock)
        self._ids = ids
        self._max_payload_bytes = max_payload_bytes
        self.alarm = Alarm(self._wall)
        """Set to the next occurrence, a wall-clock time as all occurrences are."""
        self._wall.on_jump(lambda: self.alarm.bring_forward(0))
        self._followed: int | None = None
        """Offset of the wall clock that `follow_wall` has seen."""

    @verb
    async def list(self) -> list[ScheduleRecord]:
        """Return all schedules by name."""
        records = await self._store.list_schedules()
        return self._redaction.schedules([rec for rec in records if is_seen(rec.queue)])

    @verb
    async def get(self, reference: str) -> ScheduleRecord:
        """Return a schedule. Raise `CallError` if it does not exist."""
        record = await self._store.find_schedule(reference)
        if record is None or not is_seen(record.queue):
            raise _unknown(reference)
        (seen,) = self._redaction.schedules([record])
        return seen

    @verb
    async def warnings(self, schedule: ScheduleRecord) -> Sequence[str]:
        """Return sentences about what is probably wrong with a schedule: a misspelt queue."""
        queue = schedule.queue
        if await self._store.find_queue(queue) is not None or await self._workers.has_served(queue):
            return ()
        return (
            f"There is no queue {queue!r}, and no worker serves it. Its jobs wait until a worker "
            "does.",
        )

    def upcoming(self, schedule: ScheduleRecord, count: int) -> Sequence[int]:
        """Return the next `count` occurrences in ms since the epoch, also of a paused schedule."""
        try:
            return cron.upcoming(schedule.cron, schedule.timezone, self._wall(), count)
        except cron.ZoneError:  # this machine's zone database no longer has the zone
            return []

    @verb
    async def put(
        self, request: ScheduleRequest, payload: bytes | None
    ) -> tuple[ScheduleRecord, bool]:
        """Create the schedule with the request's name, or replace it. Return True for a new one.

        `payload` is JSON text; None means `{}`.
        """
        record = self._record(request, payload)
        who = caller()

        def decide(stored: ScheduleRecord | None) -> ScheduleChange | Refusal:
            if stored is not None and not who.sees(stored.queue):
                return Refusal(
                    ErrorCode.INVALID_STATE,
                    f"The name {record.name!r} belongs to another schedule. Choose another name.",
                )
            return ScheduleChange(record if stored is None else occurrences.revise(stored, record))

        outcome = await self._edit(
            ScheduleEdit(
                record.name,
                decide,
                by_id=False,
                memory=memory_of(record.payload),
                audit=self._audited(AuditOperation.PUT_SCHEDULE, record.name),
            )
        )
        return outcome.after or record, outcome.before is None

    @verb
    async def replace(
        self, reference: str, request: ScheduleRequest, payload: bytes | None
    ) -> ScheduleRecord:
        """Replace a schedule, including its name. `payload` is as in `put`."""
        record = self._record(request, payload)
        outcome = await self._change(
            AuditOperation.REPLACE_SCHEDULE,
            reference,
            lambda stored: ScheduleChange(occurrences.revise(stored, record)),
        )
        return outcome.after or record

    @verb
    async def delete(self, reference: str) -> None:
        """Delete a schedule. The jobs that it has enqueued remain."""
        await self._change(
            AuditOperation.DELETE_SCHEDULE, reference, lambda _: ScheduleChange(None)
        )

    @verb
    async def pause(self, reference: str) -> None:
        """Stop processing the occurrences of a schedule until it is resumed."""
        await self._set_paused(AuditOperation.PAUSE_SCHEDULE, reference, is_paused=True)

    @verb
    async def resume(self, reference: str) -> None:
        """Process occurrences again. `misfire` decides about the missed ones."""
        await self._set_paused(AuditOperation.RESUME_SCHEDULE, reference, is_paused=False)

    @verb
    async def run(self, reference: str) -> Enqueued:
        """Enqueue a job of the schedule now, also if it is paused. `next_run` does not change."""
        job_id, now = self._ids.job(), self._clock()
        rule = partial(occurrences.run_by_hand, job_id=job_id, now=now, actor=caller().actor)
        outcome = await self._change(AuditOperation.RUN_SCHEDULE, reference, rule)
        if outcome.refusal is not None:
            raise CallError.of(outcome.refusal)
        if outcome.enqueued is None:
            raise AssertionError("the store ran a schedule by hand without enqueuing its job")
        return outcome.enqueued

    @verb
    async def run_due(self) -> int:
        """Process the due occurrences of a chunk of schedules. Return the number of schedules.

        Raise `StoreFull` if there is no space for a job. Its schedule stays due.
        """
        now, offset = self._wall(), self._wall.offset
        rule = partial(occurrences.run_due, now=now, wall_offset=offset)
        outcomes = await self._store.run_schedules(DueSchedules(now, _CHUNK, rule))
        for outcome in outcomes:
            if outcome.refusal is not None:  # it stays due
                raise StoreFull(outcome.refusal.message)
            self._log_skip(outcome)
        return len(outcomes)

    @verb
    async def follow_wall(self) -> int:
        """Move occurrences that a wall clock set back has left too far ahead. Return their number.

        It looks at all schedules after each jump, and once after the start.
        """
        now, offset = self._wall(), self._wall.offset
        if offset == self._followed:
            return 0
        moved = 0
        for record in await self._store.list_schedules():
            if occurrences.rewind(record, now) != record:
                await self._edit(ScheduleEdit(record.id, partial(_rewound, now=now)))
                moved += 1
        self._followed = offset
        return moved

    def _log_skip(self, outcome: ScheduleOutcome) -> None:
        before, after = outcome.before, outcome.after
        if before is None or after is None or before.last_skipped == after.last_skipped:
            return
        reason = self._redaction.skip_reason(after)
        if after.next_run is None:
            log.error("schedule %s is off until it is edited: %s", after.name, reason)
        else:
            log.info("schedule %s skipped an occurrence: %s", after.name, reason)

    async def next_occurrence(self) -> int | None:
        """Return the earliest unprocessed occurrence in ms since the epoch; None without one."""
        return (await self._store.next_times()).occurrence

    async def _set_paused(
        self, operation: AuditOperation, reference: str, *, is_paused: bool
    ) -> None:
        now = self._clock()
        await self._change(
            operation,
            reference,
            lambda stored: ScheduleChange(
                structs.replace(stored, is_paused=is_paused, updated_at=now)
            ),
        )

    async def _change(
        self, operation: AuditOperation, reference: str, rule: _Rule
    ) -> ScheduleOutcome:
        who = caller()

        def decide(stored: ScheduleRecord | None) -> ScheduleChange | Refusal:
            if stored is None or not who.sees(stored.queue):
                return Refusal(ErrorCode.NOT_FOUND, _unknown(reference).message)
            return rule(stored)

        audit = self._audited(operation, reference)
        return await self._edit(ScheduleEdit(reference, decide, audit=audit))

    def _audited(self, operation: AuditOperation, reference: str) -> Audit:
        return audited(operation, self._clock(), target=reference)

    async def _edit(self, edit: ScheduleEdit) -> ScheduleOutcome:
        outcome = await self._store.edit_schedule(edit)
        if isinstance(outcome, Refusal):
            # The only stored state that can conflict with an edit is another schedule's name.
            is_taken = outcome.code is ErrorCode.INVALID_STATE
            details = [("name", "is taken by another schedule")] if is_taken else []
            raise CallError(outcome.code, outcome.message, details)
        return outcome

    def _record(self, request: ScheduleRequest, payload: bytes | None) -> ScheduleRecord:
        check_queue(request.queue, "queue")
        _check_calendar(request)
        now = self._clock()
        options = options_of(request)
        given = structs.asdict(options) | {"concurrency_key": request.concurrency_key}
        return ScheduleRecord(
            id=self._ids.schedule(),
            name=request.name,
            queue=request.queue,
            cron=request.cron,
            timezone=request.timezone,
            payload=payload_text(payload, self._max_payload_bytes, "payload"),
            priority=BUILT_IN.priority if request.priority is None else request.priority,
            max_retries=(
                BUILT_IN.max_retries if request.max_retries is None else request.max_retries
            ),
            unique_key=request.unique_key,
            unique_period=request.unique_period or BUILT_IN.unique_period,
            tags=orjson.dumps(request.tags).decode() if request.tags else None,
            misfire=request.misfire,
            created_at=now,
            updated_at=now,
            next_run=cron.next_after(request.cron, request.timezone, self._wall()),
            options=write_options(ScheduleOptions(**given)),
        )


def _rewound(stored: ScheduleRecord | None, now: int) -> ScheduleChange:
    return ScheduleChange(None if stored is None else occurrences.rewind(stored, now))


def _check_calendar(request: ScheduleRequest) -> None:
    """Raise `CallError` for an invalid cron expression, one that never fires or an unknown zone."""
    details = []
    for field, check, value in (
        ("cron", cron.parse, request.cron),
        ("timezone", cron.check_zone, request.timezone),
    ):
        try:
            check(value)
        except ValueError as error:
            details.append((field, str(error)))
    if details:
        field, message = details[0]
        raise CallError(ErrorCode.VALIDATION_ERROR, f"{field}: {message}", details)


def _unknown(reference: str) -> CallError:
    return not_found(f"schedule {reference!r}")
