"""Schedules of a task, typed like its arguments."""

from typing import Generic, ParamSpec, Protocol

from corvo_client._calls.schedules import schedule_request
from corvo_client._options import ScheduleOptions
from corvo_client.worker._log import log as _log
from corvo_client.worker._payload import PayloadShape
from corvo_schema.schedules import Schedule, ScheduleRequest

P = ParamSpec("P")


class ScheduleSender(Protocol):
    """Stores schedules on the server, from plain code or from asyncio."""

    def put_schedule(self, request: ScheduleRequest) -> Schedule:
        """Store a schedule. Block until the server has answered."""
        ...

    async def aput_schedule(self, request: ScheduleRequest) -> Schedule:
        """Store a schedule from a coroutine."""
        ...


class Scheduler(Generic[P]):
    """Stores one schedule of a task. `Task.schedule` creates it."""

    def __init__(
        self,
        sender: ScheduleSender,
        queue: str,
        shape: PayloadShape,
        *,
        name: str,
        cron: str,
        options: ScheduleOptions,
    ) -> None:
        self._sender = sender
        self._queue = queue
        self._shape = shape
        self._name = name
        self._cron = cron
        self._options = options

    def put(self, /, *args: P.args, **kwargs: P.kwargs) -> Schedule:
        """Create or replace the schedule. Its jobs call the function with these arguments.

        Blocks until the server has answered. Raises `InvalidPayload`, before sending, for arguments
        that the worker would reject, and `ValidationFailed` for an invalid `cron` or option. The
        same schedule again changes nothing.
        """
        return _noted(self._sender.put_schedule(self.request(*args, **kwargs)))

    async def aput(self, /, *args: P.args, **kwargs: P.kwargs) -> Schedule:
        """Do what `put` does, from asyncio, without blocking the event loop."""
        return _noted(await self._sender.aput_schedule(self.request(*args, **kwargs)))

    def request(self, /, *args: P.args, **kwargs: P.kwargs) -> ScheduleRequest:
        """Return the request that `put` sends. Raises `InvalidPayload` and `ValidationFailed`."""
        return schedule_request(
            self._name,
            queue=self._queue,
            cron=self._cron,
            payload=self._shape.payload(args, kwargs),
            options=self._options,
        )


def _noted(schedule: Schedule) -> Schedule:
    for warning in schedule.warnings:
        _log.warning("schedule %s: %s", schedule.name, warning)
    return schedule
