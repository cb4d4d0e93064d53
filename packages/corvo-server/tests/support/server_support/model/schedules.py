"""The model of schedules with fixed intervals. Each occurrence is handled once."""

from collections.abc import Iterable

from corvo_schema.errors import ErrorCode
from server_support.model.ground import Ground
from server_support.model.parts import Schedule

GRACE = 60_000


class Schedules(Ground):
    """Edits of schedules, and their runs."""

    def put_schedule(
        self,
        name: str,
        new_id: str,
        *,
        queue: str,
        every: int,
        is_skipping: bool,
        unique_key: str | None,
    ) -> None:
        """Create or change a schedule."""
        next_run = _occurrence_after(self.now, every)
        known = self.schedules.get(name)
        if known is None:
            self.schedules[name] = Schedule(
                name, new_id, queue, every, is_skipping, unique_key, next_run
            )
            return
        if known.every != every:
            known.every, known.next_run = every, next_run
        known.queue, known.is_skipping, known.unique_key = queue, is_skipping, unique_key

    def pause_schedule(self, name: str, *, is_paused: bool) -> ErrorCode | None:
        """Pause or resume a schedule."""
        if name not in self.schedules:
            return ErrorCode.NOT_FOUND
        self.schedules[name].is_paused = is_paused
        return None

    def delete_schedule(self, name: str) -> ErrorCode | None:
        """Delete a schedule."""
        return None if self.schedules.pop(name, None) else ErrorCode.NOT_FOUND

    def run_schedule(self, name: str, job_id: str | None) -> ErrorCode | str:
        """Enqueue a job now. `job_id` is the id that the server gave it. Return its status."""
        schedule = self.schedules.get(name)
        if schedule is None:
            return ErrorCode.NOT_FOUND
        if self.holder(schedule.queue, schedule.unique_key) is not None:
            return "duplicate"
        assert job_id is not None
        self._run(schedule, job_id, None)
        return "pending"

    def due_schedules(self) -> list[Schedule]:
        """Return the due schedules."""
        return [
            schedule
            for schedule in self.schedules.values()
            if not schedule.is_paused and schedule.next_run <= self.now
        ]

    def run_due(self, schedule: Schedule, job_id: str | None) -> None:
        """Handle all occurrences up to now. `job_id` is the id of the enqueued job, if any."""
        first = schedule.next_run
        occurrences: Iterable[int] = range(first, self.now + 1, schedule.every)
        schedule.next_run = _occurrence_after(self.now, schedule.every)
        if schedule.is_skipping:
            occurrences = (
                occurrence for occurrence in occurrences if occurrence > self.now - GRACE
            )
        occurrence = next(iter(occurrences), None)
        if occurrence != first:
            schedule.last_skipped = first
        if occurrence is None:
            return
        if self.holder(schedule.queue, schedule.unique_key) is not None:
            schedule.last_skipped = occurrence
            return
        assert job_id is not None
        assert occurrence not in schedule.run
        schedule.run.add(occurrence)
        self._run(schedule, job_id, occurrence)

    def _run(self, schedule: Schedule, job_id: str, occurrence: int | None) -> None:
        self.add(job_id, schedule.queue, scheduled_at=occurrence, unique_key=schedule.unique_key)
        schedule.last_run, schedule.last_job = self.now, job_id


def _occurrence_after(now: int, every: int) -> int:
    return (now // every + 1) * every
