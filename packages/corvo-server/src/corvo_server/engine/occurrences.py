"""Rules for the occurrences of a schedule: the times at which it is due. Pure, as in `lifecycle`.

Every occurrence is processed exactly once, on any number of servers. One transaction enqueues its
job and advances `next_run`, and the occurrence determines the job's id.

Usually each occurrence enqueues one job. Occurrences that were missed, because no server ran or the
schedule was paused, are processed together by the schedule's `misfire`:

- `run_once`: all due occurrences become one job, at once, for the first of them.
- `skip`: an occurrence that is late by `GRACE` or more is skipped; a later one still runs.
"""

from msgspec.structs import replace
from orjson import loads

from corvo_schema import Misfire, derive_job_id, format_duration, format_ms
from corvo_schema.options import OPTION_NAMES
from corvo_schema.states import JobState
from corvo_server.engine import cron
from corvo_server.engine.options import names_left_out
from corvo_server.store.options import ScheduleOptions, fill, read_options
from corvo_server.store.records import NewJob
from corvo_server.store.schedules import ScheduleChange, ScheduleRecord

GRACE = 60_000
"""Lateness in ms at which an occurrence counts as missed.

Occurrences are at least a minute apart, so at most one due occurrence is not missed.
"""


_REPEATED = 3 * 3_600_000
"""Milliseconds. If the wall clock goes back by less, fixed times that it repeats do not run again.

Vixie cron has the same limit. A longer way back is a correction: all times count again.
"""


def run_due(schedule: ScheduleRecord, now: int, wall_offset: int = 0) -> ScheduleChange:
    """Process all occurrences of a schedule from its `next_run` up to `now` (ms).

    Both are wall-clock times. `wall_offset` is the wall clock minus the server's time.
    """
    first = now if schedule.next_run is None else schedule.next_run
    try:
        following = cron.next_after(schedule.cron, schedule.timezone, now)
        in_time = _first_in_time(schedule, first, now)
    except ValueError as error:
        # This machine's zone database no longer has the zone. Disable only this schedule, until
        # it is edited.
        return ScheduleChange(_skipped(schedule, first, None, str(error)))
    late = now - first
    if schedule.misfire is Misfire.RUN_ONCE or late < GRACE:
        return _run(schedule, schedule, first, following, now=now, wall_offset=wall_offset)
    skipped = _skipped(schedule, first, following, f"{_rounded(late)} late, misfire is skip")
    if in_time is None:
        return ScheduleChange(skipped)
    return _run(schedule, skipped, in_time, following, now=now, wall_offset=wall_offset)


def rewind(schedule: ScheduleRecord, now: int) -> ScheduleRecord:
    """Return the schedule after the wall clock was set back to `now` (ms).

    An interval goes on at once. Fixed times do so only if the clock had reached one that is three
    hours or more ahead of `now`.
    """
    if schedule.next_run is None or schedule.next_run <= now:
        return schedule
    reached = now if cron.is_interval(schedule.cron) else now + _REPEATED
    try:
        handled = cron.next_after(schedule.cron, schedule.timezone, reached)
        if handled is None or handled >= schedule.next_run:
            return schedule
        following = cron.next_after(schedule.cron, schedule.timezone, now)
    except ValueError:  # `run_due` handles a zone that this machine does not know
        return schedule
    return replace(schedule, next_run=following)


def run_by_hand(
    schedule: ScheduleRecord, job_id: str, now: int, actor: str | None = None
) -> ScheduleChange:
    """Enqueue one job now. `next_run` does not change. `actor` is the caller, for the event."""
    job = _job(schedule, job_id, now, f"schedule {schedule.name}: run by hand")
    job.actor = actor
    after = replace(schedule, last_run=now, last_job_id=job_id)
    return ScheduleChange(after, job, if_duplicate=schedule)


def revise(stored: ScheduleRecord, edited: ScheduleRecord) -> ScheduleRecord:
    """Return the schedule after an edit: `edited` with the id and the history of `stored`.

    `next_run` changes only with cron or zone, so that writing the same schedule changes nothing.
    """
    is_same_calendar = (stored.cron, stored.timezone) == (edited.cron, edited.timezone)
    keeps_next = is_same_calendar and stored.next_run is not None
    return replace(
        edited,
        id=stored.id,
        created_at=stored.created_at,
        next_run=stored.next_run if keeps_next else edited.next_run,
        is_paused=stored.is_paused,
        last_run=stored.last_run,
        last_job_id=stored.last_job_id,
        last_skipped=stored.last_skipped,
        last_skip_reason=stored.last_skip_reason,
    )


def _first_in_time(schedule: ScheduleRecord, first: int, now: int) -> int | None:
    """Return the first occurrence that is due and not missed; None without one."""
    if first > now - GRACE:
        return first
    occurrence = cron.next_after(schedule.cron, schedule.timezone, now - GRACE)
    return occurrence if occurrence is not None and occurrence <= now else None


def _run(
    stored: ScheduleRecord,
    after: ScheduleRecord,
    occurrence: int,
    following: int | None,
    *,
    now: int,
    wall_offset: int,
) -> ScheduleChange:
    """Enqueue the job of `occurrence`, unless a live job holds the unique key."""
    # The same wall-clock time after a jump is another server time, and so another job.
    at, now = occurrence - wall_offset, now - wall_offset
    job_id = derive_job_id(stored.id, at)
    job = _job(stored, job_id, now, f"schedule {stored.name}: occurrence {format_ms(occurrence)}")
    job.scheduled_at = at
    job.is_id_from_client = True  # a stored job with this id is returned, not duplicated
    return ScheduleChange(
        replace(after, next_run=following, last_run=now, last_job_id=job_id),
        job,
        if_duplicate=_skipped(
            stored, occurrence, following, f"a live job holds the unique key {stored.unique_key!r}"
        ),
    )


def _skipped(
    schedule: ScheduleRecord, occurrence: int, following: int | None, reason: str
) -> ScheduleRecord:
    return replace(schedule, next_run=following, last_skipped=occurrence, last_skip_reason=reason)


def _job(schedule: ScheduleRecord, job_id: str, now: int, reason: str) -> NewJob:
    job = NewJob(
        id=job_id,
        queue=schedule.queue,
        state=JobState.PENDING,
        payload=schedule.payload,
        created_at=now,
        unique_key=schedule.unique_key,
        reason=reason,
    )
    options = options_of(schedule)
    fill(job, options, OPTION_NAMES)
    job.left_out = names_left_out(options)
    job.concurrency_key = options.concurrency_key
    return job


def options_of(schedule: ScheduleRecord) -> ScheduleOptions:
    """Return the options that the request of the schedule gave."""
    if schedule.options is not None:
        return read_options(schedule.options, ScheduleOptions)
    return ScheduleOptions(
        priority=schedule.priority,
        max_retries=schedule.max_retries,
        unique_period=schedule.unique_period,
        tags=loads(schedule.tags) if schedule.tags else {},
    )


def _rounded(ms: int) -> str:
    return format_duration(ms // 1000 * 1000)
