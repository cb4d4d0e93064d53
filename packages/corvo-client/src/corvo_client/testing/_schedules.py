"""Schedules of a recording. They enqueue jobs only when they are run by hand."""

from pydantic_core import from_json

from corvo_client._errors import make_error
from corvo_client.testing._errors import invalid_state, not_found
from corvo_client.testing._store import JobStore
from corvo_schema import (
    BUILT_IN,
    OPTION_NAMES,
    EnqueueReply,
    EnqueueRequest,
    ErrorCode,
    Schedule,
    ScheduleRequest,
    from_ms,
    new_schedule_id,
)

_ALIASES = {"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}
_JOB_FIELDS = ScheduleRequest.model_fields.keys() & EnqueueRequest.model_fields.keys()


class ScheduleStore:
    """Schedules by name. A reference is a name or an id."""

    def __init__(self, jobs: JobStore) -> None:
        self._jobs = jobs
        self.schedules: dict[str, Schedule] = {}
        self._requests: dict[str, ScheduleRequest] = {}
        """Requests by the id of their schedule."""

    def put(self, request: ScheduleRequest) -> Schedule:
        """Create or replace the schedule of that name. Raises `ValidationFailed`."""
        return self._store(request, self.schedules.get(request.name))

    def replace(self, reference: str, request: ScheduleRequest) -> Schedule:
        """Replace a schedule and its name. Raises `NotFound`, `InvalidState`."""
        before = self.get(reference)
        if self.schedules.get(request.name, before) is not before:
            raise invalid_state(f"There is another schedule {request.name!r}")
        after = self._store(request, before)
        if after.name != before.name:
            del self.schedules[before.name]
        return after

    def get(self, reference: str) -> Schedule:
        """Return a schedule. Raises `NotFound`."""
        for schedule in self.schedules.values():
            if reference in (schedule.id, schedule.name):
                return schedule
        raise not_found(f"schedule {reference!r}")

    def delete(self, reference: str) -> None:
        """Delete a schedule. Raises `NotFound`."""
        schedule = self.get(reference)
        del self.schedules[schedule.name], self._requests[schedule.id]

    def run(self, reference: str) -> EnqueueReply:
        """Enqueue a job of the schedule, also if it is paused. Raises `NotFound`."""
        schedule = self.get(reference)
        request = self._requests[schedule.id]
        members = {name: getattr(request, name) for name in _JOB_FIELDS}
        given = {name: value for name, value in members.items() if value is not None}
        (reply,), _ = self._jobs.enqueue([EnqueueRequest.model_construct(**given)])
        if not reply.unique_existing:
            schedule.last_run = from_ms(self._jobs.clock())
            schedule.last_job_id = reply.job_id
        return reply

    def _store(self, request: ScheduleRequest, before: Schedule | None) -> Schedule:
        if len(request.cron.split()) != 5 and request.cron.strip().lower() not in _ALIASES:
            raise make_error(
                f"cron: {request.cron!r} must have five fields (minute, hour, day, month, weekday);"
                " write it like 30 8 * * MON-FRI",
                code=ErrorCode.VALIDATION_ERROR,
                status=400,
            )
        now = from_ms(self._jobs.clock())
        members = from_json(request.model_dump_json(exclude_none=True))
        members["defaults"] = [name for name in OPTION_NAMES if name not in members]
        # The server shows these with their built-in value, for older clients.
        members.setdefault("unique_period", BUILT_IN.unique_period / 1000)
        if before is not None:
            kept = ("id", "paused", "last_run", "last_job_id", "created_at")
            members |= {name: getattr(before, name) for name in kept}
        else:
            members |= {"id": new_schedule_id(), "created_at": now}
        schedule = Schedule.model_validate({**members, "updated_at": now})
        self.schedules[schedule.name] = schedule
        self._requests[schedule.id] = request
        return schedule
