"""Schedules: jobs that are enqueued by the calendar."""

import logging
from collections.abc import Callable, Sequence
from functools import partial

import orjson
from msgspec import structs

from corvo_schema import IdFactory, ScheduleRequest
from corvo_schema.errors import ErrorCode
from corvo_server.engine import cron, occurrences
from corvo_server.engine.alarm import Alarm
from corvo_server.engine.clock import Clock
from corvo_server.engine.errors import CallError, not_found
from corvo_server.engine.payloads import payload_text
from corvo_server.engine.verbs import Part, verb
from corvo_server.store.protocol import Store
from corvo_server.store.records import Enqueued, Refusal
from corvo_server.store.schedules import (
    DueSchedules,
    ScheduleChange,
    ScheduleEdit,
    ScheduleOutcome,
    ScheduleRecord,
)

log = logging.getLogger(__name__)

_CHUNK = 100
_DEFAULT_UNIQUE_PERIOD = 3_600_000

_Rule = Callable[[ScheduleRecord], ScheduleChange]


class Schedules(Part):
    """Verbs on schedules. A schedule is referred to by its id or by its name."""

    def __init__(
        self, store: Store, clock: Clock, ids: IdFactory, *, max_payload_bytes: int
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._max_payload_bytes = max_payload_bytes
        self.alarm = Alarm(clock)
        """Rings when an occurrence may be due."""

    @verb
    async def list(self) -> list[ScheduleRecord]:
        """All schedules by name."""
        return await self._store.list_schedules()

    @verb
    async def get(self, reference: str) -> ScheduleRecord:
        """One schedule."""
        record = await self._store.find_schedule(reference)
        if record is None:
            raise _unknown(reference)
        return record

    def upcoming(self, schedule: ScheduleRecord, count: int) -> Sequence[int]:
        """The next `count` times of the schedule's calendar, whether it is paused or not."""
        try:
            return cron.upcoming(schedule.cron, schedule.timezone, self._clock(), count)
        except cron.ZoneError:  # gone from this machine's database since the schedule was written
            return []

    @verb
    async def put(
        self, request: ScheduleRequest, payload: bytes | None
    ) -> tuple[ScheduleRecord, bool]:
        """Create the schedule of that name, or change it; the flag is True for a new one.

        `payload` is JSON text; None stands for `{}`.
        """
        wanted = self._wanted(request, payload)

        def decide(stored: ScheduleRecord | None) -> ScheduleChange:
            return ScheduleChange(wanted if stored is None else occurrences.revise(stored, wanted))

        outcome = await self._edit(ScheduleEdit(wanted.name, decide, by_id=False))
        return outcome.after or wanted, outcome.before is None

    @verb
    async def replace(
        self, reference: str, request: ScheduleRequest, payload: bytes | None
    ) -> ScheduleRecord:
        """Change a schedule, its name included."""
        wanted = self._wanted(request, payload)
        outcome = await self._change(
            reference, lambda stored: ScheduleChange(occurrences.revise(stored, wanted))
        )
        return outcome.after or wanted

    @verb
    async def delete(self, reference: str) -> None:
        """Remove a schedule; jobs that it has enqueued stay."""
        await self._change(reference, lambda _: ScheduleChange(None))

    @verb
    async def pause(self, reference: str) -> None:
        """Let the occurrences of a schedule pass, until it is resumed."""
        await self._set_paused(reference, is_paused=True)

    @verb
    async def resume(self, reference: str) -> None:
        """Follow the calendar again; what was missed meanwhile is dealt with by `misfire`."""
        await self._set_paused(reference, is_paused=False)

    @verb
    async def run(self, reference: str) -> Enqueued:
        """Enqueue a job of the schedule now, paused or not; the calendar goes on as it was."""
        job_id, now = self._ids.job(), self._clock()
        outcome = await self._change(
            reference, partial(occurrences.run_by_hand, job_id=job_id, now=now)
        )
        if outcome.enqueued is None:
            raise AssertionError("a run by hand was stored without its job")
        return outcome.enqueued

    @verb
    async def run_due(self) -> int:
        """Deal with a chunk of the occurrences that are due; of how many schedules, 0 when none is."""
        now = self._clock()
        outcomes = await self._store.run_schedules(
            DueSchedules(now, _CHUNK, partial(occurrences.run_due, now=now))
        )
        for outcome in outcomes:
            _log_skip(outcome)
        return len(outcomes)

    async def next_occurrence(self) -> int | None:
        """The earliest occurrence that is still to be dealt with."""
        return (await self._store.next_times()).occurrence

    async def _set_paused(self, reference: str, *, is_paused: bool) -> None:
        now = self._clock()
        await self._change(
            reference,
            lambda stored: ScheduleChange(
                structs.replace(stored, is_paused=is_paused, updated_at=now)
            ),
        )

    async def _change(self, reference: str, rule: _Rule) -> ScheduleOutcome:
        def decide(stored: ScheduleRecord | None) -> ScheduleChange | Refusal:
            if stored is None:
                return Refusal(ErrorCode.NOT_FOUND, _unknown(reference).message)
            return rule(stored)

        return await self._edit(ScheduleEdit(reference, decide))

    async def _edit(self, edit: ScheduleEdit) -> ScheduleOutcome:
        outcome = await self._store.edit_schedule(edit)
        if isinstance(outcome, Refusal):
            # Of all that is stored, only another schedule's name can stand in the way of an edit.
            is_taken = outcome.code is ErrorCode.INVALID_STATE
            details = [("name", "is taken by another schedule")] if is_taken else []
            raise CallError(outcome.code, outcome.message, details)
        return outcome

    def _wanted(self, request: ScheduleRequest, payload: bytes | None) -> ScheduleRecord:
        _check_calendar(request)
        now = self._clock()
        period = request.unique_period
        return ScheduleRecord(
            id=self._ids.schedule(),
            name=request.name,
            queue=request.queue,
            cron=request.cron,
            timezone=request.timezone,
            payload=payload_text(payload, self._max_payload_bytes, "payload"),
            priority=request.priority,
            max_retries=request.max_retries,
            unique_key=request.unique_key,
            unique_period=_DEFAULT_UNIQUE_PERIOD if period is None else period,
            tags=orjson.dumps(request.tags).decode() if request.tags else None,
            misfire=request.misfire,
            created_at=now,
            updated_at=now,
            next_run=cron.next_after(request.cron, request.timezone, now),
        )


def _check_calendar(request: ScheduleRequest) -> None:
    """Refuse an expression that is none or never fires, and a zone that does not exist."""
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


def _log_skip(outcome: ScheduleOutcome) -> None:
    before, after = outcome.before, outcome.after
    if before is None or after is None or before.last_skipped == after.last_skipped:
        return
    if after.next_run is None:
        log.error("schedule %s rests until it is edited: %s", after.name, after.last_skip_reason)
    else:
        log.info("schedule %s skipped an occurrence: %s", after.name, after.last_skip_reason)
