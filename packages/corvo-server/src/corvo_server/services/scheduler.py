"""Enqueues the jobs of schedules when their time comes."""

import asyncio
from contextlib import suppress

from corvo_server.engine.schedules import Schedules
from corvo_server.services.service import AlarmService

_LONGEST_SLEEP = 30.0
"""Seconds. An alarm counts by a clock that is not set, and may stand still while the machine
sleeps; the calendar follows the one that is."""


class Scheduler(AlarmService):
    """Enqueues the jobs of schedules when their time comes."""

    name = "scheduler"

    def __init__(self, schedules: Schedules) -> None:
        self._schedules = schedules
        self.alarm = schedules.alarm

    async def run_once(self) -> int:
        """`run_due` chunk by chunk until nothing is due."""
        done = 0
        while chunk := await self._schedules.run_due():
            done += chunk
        return done

    async def next_time(self) -> int | None:
        """From the store."""
        return await self._schedules.next_occurrence()

    async def wait(self) -> None:
        """Sleep until the next occurrence, but not for long."""
        with suppress(TimeoutError):
            await asyncio.wait_for(super().wait(), _LONGEST_SLEEP)
