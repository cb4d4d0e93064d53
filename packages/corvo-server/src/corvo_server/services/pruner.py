"""Removes what has been finished for longer than its retention."""

import asyncio

from corvo_server.engine.maintenance import Maintenance
from corvo_server.services.service import Service


class Pruner(Service):
    """Removes what has been finished for longer than its retention, in small chunks."""

    name = "pruner"

    def __init__(self, maintenance: Maintenance, interval: float) -> None:
        """`interval` is in seconds."""
        self._maintenance = maintenance
        self._interval = interval

    async def run_once(self) -> int:
        """`prune` chunk by chunk, a commit each, until nothing old is left."""
        done = 0
        while chunk := await self._maintenance.prune():
            done += chunk
        return done

    async def wait(self) -> None:
        """Until the next round."""
        await asyncio.sleep(self._interval)
