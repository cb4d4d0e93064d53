# Generated from src/corvo_client/_async/schedules.py by scripts/gen_sync.py. Do not edit.
"""Client methods for schedules."""

from datetime import datetime
from typing import Any, Unpack

from corvo_client._calls import schedules as calls
from corvo_client._options import NO_PAYLOAD, ScheduleOptions
from corvo_client._sync.base import Base
from corvo_schema import Schedule, ScheduleStatusReply


class Schedules(Base):
    """Manage schedules, which enqueue jobs at times of a cron expression.

    `schedule` is the name or the id of a schedule.
    """

    def put_schedule(
        self,
        name: str,
        *,
        queue: str,
        cron: str,
        payload: Any = NO_PAYLOAD,
        **options: Unpack[ScheduleOptions],
    ) -> Schedule:
        """Create the schedule `name`, or replace it if it exists.

        `cron` has five fields (`0 8 * * mon-fri`), or is an alias such as `@daily`. Raises
        `ValidationFailed`, also for a `cron` without any occurrence.
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
        """Replace an existing schedule, and set its name to `name`.

        Raises `NotFound`, and `InvalidState` if another schedule has that name.
        """
        request = calls.schedule_request(
            name, queue=queue, cron=cron, payload=payload, options=options
        )
        return self._send(calls.replace_schedule(schedule, request))

    def list_schedules(self) -> list[Schedule]:
        """Return all schedules sorted by name, without `upcoming`."""
        return self._send(calls.list_schedules())

    def get_schedule(self, schedule: str, *, upcoming: int = 5) -> Schedule:
        """Return a schedule with its next `upcoming` occurrences (0 to 100). Raises `NotFound`."""
        return self._send(calls.get_schedule(schedule, upcoming))

    def upcoming_runs(self, schedule: str, count: int = 5) -> list[datetime]:
        """Return the next `count` occurrences of a schedule, even if it is paused.

        Raises `NotFound`.
        """
        return (self.get_schedule(schedule, upcoming=count)).upcoming

    def delete_schedule(self, schedule: str) -> ScheduleStatusReply:
        """Delete a schedule. Its jobs stay. Raises `NotFound`."""
        return self._send(calls.delete_schedule(schedule))

    def pause_schedule(self, schedule: str) -> ScheduleStatusReply:
        """Pause a schedule: it enqueues no jobs until it is resumed. Raises `NotFound`."""
        return self._send(calls.pause_schedule(schedule))

    def resume_schedule(self, schedule: str) -> ScheduleStatusReply:
        """Resume a schedule. Its `misfire` decides about the occurrences missed meanwhile.

        Raises `NotFound`.
        """
        return self._send(calls.resume_schedule(schedule))

    def run_schedule(self, schedule: str) -> ScheduleStatusReply:
        """Enqueue a job of the schedule now. The reply has the job id. Raises `NotFound`."""
        return self._send(calls.run_schedule(schedule))
