"""Enqueues the jobs of schedules when they are due."""

import asyncio
from contextlib import suppress

from corvo_server.engine.schedules import Schedules
from corvo_server.services.service import AlarmService

_LONGEST_SLEEP = 30.0
"""Maximum sleep in seconds, after which the scheduler looks at the stored schedules again."""


class Scheduler(AlarmService):
    """Enqueues the jobs of schedules when they are due."""

    name = "scheduler"

    def __init__(self, schedules: Schedules) -> None:
        self._schedules = schedules
        self.alarm = schedules.alarm

    async def run_once(self) -> int:
        """Process due schedules chunk by chunk until none is due. Return their number."""
        await self._schedules.follow_wall()
        done = 0
        while chunk := await self._schedules.run_due():
            done += chunk
        return done

    async def next_time(self) -> int | None:
        """Return the earliest occurrence of a stored schedule."""
        return await self._schedules.next_occurrence()

    async def wait(self) -> None:
        """Return at the next occurrence, or after 30 s at most."""
        with suppress(TimeoutError):
            await asyncio.wait_for(super().wait(), _LONGEST_SLEEP)
