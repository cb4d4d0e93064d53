"""Schedules of every so many minutes: each occurrence of theirs is dealt with once."""

from collections.abc import Iterable

from corvo_schema.errors import ErrorCode
from server_support.model.ground import Ground
from server_support.model.parts import Schedule

GRACE = 60_000


class Schedules(Ground):
    """Editing schedules, and dealing with their occurrences."""

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
        """Create a schedule or change it."""
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
        """Let its occurrences pass, or no longer."""
        if name not in self.schedules:
            return ErrorCode.NOT_FOUND
        self.schedules[name].is_paused = is_paused
        return None

    def delete_schedule(self, name: str) -> ErrorCode | None:
        """Remove it."""
        return None if self.schedules.pop(name, None) else ErrorCode.NOT_FOUND

    def run_schedule(self, name: str, job_id: str | None) -> ErrorCode | str:
        """Enqueue a job now, which got this id; its status."""
        schedule = self.schedules.get(name)
        if schedule is None:
            return ErrorCode.NOT_FOUND
        if self.holder(schedule.queue, schedule.unique_key) is not None:
            return "duplicate"
        assert job_id is not None
        self._run(schedule, job_id, None)
        return "pending"

    def due_schedules(self) -> list[Schedule]:
        """Those whose occurrences are to be dealt with."""
        return [
            schedule
            for schedule in self.schedules.values()
            if not schedule.is_paused and schedule.next_run <= self.now
        ]

    def run_due(self, schedule: Schedule, job_id: str | None) -> None:
        """Deal with all occurrences up to now; `job_id` is of the job that one of them got, if any."""
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
