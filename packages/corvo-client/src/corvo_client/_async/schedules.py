"""Client methods for schedules."""

from datetime import datetime
from typing import Any, Unpack

from corvo_client._async.base import AsyncBase
from corvo_client._calls import schedules as calls
from corvo_client._options import NO_PAYLOAD, ScheduleOptions
from corvo_schema import Schedule, ScheduleStatusReply


class AsyncSchedules(AsyncBase):
    """Manage schedules, which enqueue jobs at times of a cron expression.

    `schedule` is the name or the id of a schedule.
    """

    async def put_schedule(
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
        return await self._send(calls.put_schedule(request))

    async def replace_schedule(
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
        return await self._send(calls.replace_schedule(schedule, request))

    async def list_schedules(self) -> list[Schedule]:
        """Return all schedules sorted by name, without `upcoming`."""
        return await self._send(calls.list_schedules())

    async def get_schedule(self, schedule: str, *, upcoming: int = 5) -> Schedule:
        """Return a schedule with its next `upcoming` occurrences (0 to 100). Raises `NotFound`."""
        return await self._send(calls.get_schedule(schedule, upcoming))

    async def upcoming_runs(self, schedule: str, count: int = 5) -> list[datetime]:
        """Return the next `count` occurrences of a schedule, even if it is paused.

        Raises `NotFound`.
        """
        return (await self.get_schedule(schedule, upcoming=count)).upcoming

    async def delete_schedule(self, schedule: str) -> ScheduleStatusReply:
        """Delete a schedule. Its jobs stay. Raises `NotFound`."""
        return await self._send(calls.delete_schedule(schedule))

    async def pause_schedule(self, schedule: str) -> ScheduleStatusReply:
        """Pause a schedule: it enqueues no jobs until it is resumed. Raises `NotFound`."""
        return await self._send(calls.pause_schedule(schedule))

    async def resume_schedule(self, schedule: str) -> ScheduleStatusReply:
        """Resume a schedule. Its `misfire` decides about the occurrences missed meanwhile.

        Raises `NotFound`.
        """
        return await self._send(calls.resume_schedule(schedule))

    async def run_schedule(self, schedule: str) -> ScheduleStatusReply:
        """Enqueue a job of the schedule now. The reply has the job id. Raises `NotFound`."""
        return await self._send(calls.run_schedule(schedule))
