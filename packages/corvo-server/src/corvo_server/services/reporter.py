"""Reports the workers that call this node to the other nodes."""

import asyncio
from contextlib import suppress

from corvo_server.engine.workers import Workers
from corvo_server.services.service import Service

_INTERVAL = 5.0
"""Seconds between two reports, unless a new worker calls."""
_SHORTEST = 1.0
"""Seconds between two reports if new workers call all the time."""


class Reporter(Service):
    """Reports the workers that called this node since the last time, in one write for all."""

    name = "reporter"

    def __init__(
        self, workers: Workers, interval: float = _INTERVAL, shortest: float = _SHORTEST
    ) -> None:
        """`interval` and `shortest` are in seconds."""
        self._workers = workers
        self._interval = interval
        self._shortest = shortest

    async def run_once(self) -> int:
        """Report the workers that called. Return their number."""
        return await self._workers.report()

    async def wait(self) -> None:
        """Return after the interval, or earlier if a new worker has called."""
        await asyncio.sleep(self._shortest)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._interval - self._shortest):
                await self._workers.has_new.wait()
