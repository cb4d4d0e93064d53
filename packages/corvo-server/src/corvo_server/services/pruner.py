"""Deletes jobs, batches and events that are older than their retention."""

import asyncio

from corvo_server.engine.maintenance import Maintenance
from corvo_server.services.service import Service


class Pruner(Service):
    """Deletes jobs, batches and events that are older than their retention, in small chunks."""

    name = "pruner"

    def __init__(self, maintenance: Maintenance, interval: float) -> None:
        """`interval` is in seconds."""
        self._maintenance = maintenance
        self._interval = interval

    async def run_once(self) -> int:
        """Prune chunk by chunk, one commit each, until nothing is left to delete."""
        done = 0
        while chunk := await self._maintenance.prune():
            done += chunk
        return done

    async def wait(self) -> None:
        """Return after the interval."""
        await asyncio.sleep(self._interval)
