"""The client's methods about schedules."""

from datetime import datetime
from typing import Any, Unpack

from corvo_client._async.base import AsyncBase
from corvo_client._calls import schedules as calls
from corvo_client._options import NO_PAYLOAD, ScheduleOptions
from corvo_schema import Schedule, ScheduleStatusReply


class AsyncSchedules(AsyncBase):
    """Enqueue jobs by the calendar. A schedule is named by its name or its id."""

    async def put_schedule(
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
        """Make an existing schedule what is given here, and `name` its name.

        Raises `NotFound`, and `InvalidState` when another schedule has that name.
        """
        request = calls.schedule_request(
            name, queue=queue, cron=cron, payload=payload, options=options
        )
        return await self._send(calls.replace_schedule(schedule, request))

    async def list_schedules(self) -> list[Schedule]:
        """Return all schedules by name, without their `upcoming` times."""
        return await self._send(calls.list_schedules())

    async def get_schedule(self, schedule: str, *, upcoming: int = 5) -> Schedule:
        """Return a schedule with its next times, up to 100 of them. Raises `NotFound`."""
        return await self._send(calls.get_schedule(schedule, upcoming))

    async def upcoming_runs(self, schedule: str, count: int = 5) -> list[datetime]:
        """Return the next times of a schedule's calendar, whether it is paused or not.

        Raises `NotFound`.
        """
        return (await self.get_schedule(schedule, upcoming=count)).upcoming

    async def delete_schedule(self, schedule: str) -> ScheduleStatusReply:
        """Remove a schedule; the jobs that it enqueued stay. Raises `NotFound`."""
        return await self._send(calls.delete_schedule(schedule))

    async def pause_schedule(self, schedule: str) -> ScheduleStatusReply:
        """Enqueue nothing until the schedule is resumed. Raises `NotFound`."""
        return await self._send(calls.pause_schedule(schedule))

    async def resume_schedule(self, schedule: str) -> ScheduleStatusReply:
        """Go on by the calendar; `misfire` says what becomes of the times missed meanwhile.

        Raises `NotFound`.
        """
        return await self._send(calls.resume_schedule(schedule))

    async def run_schedule(self, schedule: str) -> ScheduleStatusReply:
        """Enqueue a job of the schedule now; the reply has its id. Raises `NotFound`."""
        return await self._send(calls.run_schedule(schedule))
