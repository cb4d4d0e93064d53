# Generated from src/corvo_client/_async/schedules.py by scripts/gen_sync.py. Do not edit.
"""The client's methods about schedules."""

from datetime import datetime
from typing import Any, Unpack

from corvo_client._calls import schedules as calls
from corvo_client._options import NO_PAYLOAD, ScheduleOptions
from corvo_client._sync.base import Base
from corvo_schema import Schedule, ScheduleStatusReply


class Schedules(Base):
    """Enqueue jobs by the calendar. A schedule is named by its name or its id."""

    def put_schedule(
        self,
        name: str,
        *,
        queue: str,
        cron: str,
        payload: Any = NO_PAYLOAD,
        **options: Unpack[ScheduleOptions],
    ) -> Schedule:
        """Create the schedule of this name, or make it what is given here if there is one.

        `cron` has five fields (`0 8 * * mon-fri`), or is `@daily` and the like. Raises
        `ValidationFailed` for one that never comes, and says which field is wrong.
        """
        request = calls.schedule_request(
            name, queue=queue, cron=cron, payload=payload, options=options
        )
        return self._send(calls.put_schedule(request))

    def replace_schedule(
        self,
        schedule: str,
        name: str,
        *,
        queue: str,
        cron: str,
        payload: Any = NO_PAYLOAD,
        **options: Unpack[ScheduleOptions],
    ) -> Schedule:
        """Make an existing schedule what is given here, and `name` its name.

        Raises `NotFound`, and `InvalidState` when another schedule has that name.
        """
        request = calls.schedule_request(
            name, queue=queue, cron=cron, payload=payload, options=options
        )
        return self._send(calls.replace_schedule(schedule, request))

    def list_schedules(self) -> list[Schedule]:
        """Return all schedules by name, without their `upcoming` times."""
        return self._send(calls.list_schedules())

    def get_schedule(self, schedule: str, *, upcoming: int = 5) -> Schedule:
        """Return a schedule with its next times, up to 100 of them. Raises `NotFound`."""
        return self._send(calls.get_schedule(schedule, upcoming))

    def upcoming_runs(self, schedule: str, count: int = 5) -> list[datetime]:
        """Return the next times of a schedule's calendar, whether it is paused or not.

        Raises `NotFound`.
        """
        return (self.get_schedule(schedule, upcoming=count)).upcoming

    def delete_schedule(self, schedule: str) -> ScheduleStatusReply:
        """Remove a schedule; the jobs that it enqueued stay. Raises `NotFound`."""
        return self._send(calls.delete_schedule(schedule))

    def pause_schedule(self, schedule: str) -> ScheduleStatusReply:
        """Enqueue nothing until the schedule is resumed. Raises `NotFound`."""
        return self._send(calls.pause_schedule(schedule))

    def resume_schedule(self, schedule: str) -> ScheduleStatusReply:
        """Go on by the calendar; `misfire` says what becomes of the times missed meanwhile.

        Raises `NotFound`.
        """
        return self._send(calls.resume_schedule(schedule))

    def run_schedule(self, schedule: str) -> ScheduleStatusReply:
        """Enqueue a job of the schedule now; the reply has its id. Raises `NotFound`."""
        return self._send(calls.run_schedule(schedule))
