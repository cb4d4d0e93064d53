"""Runs bulk operations in the background, chunk by chunk, also across restarts."""

import asyncio

from corvo_server.engine.bulk import Bulk
from corvo_server.services.service import Service


class BulkRunner(Service):
    """Runs bulk operations in the background, the oldest first."""

    name = "bulk"

    def __init__(self, bulk: Bulk) -> None:
        self._bulk = bulk
        bulk.work.set()  # operations may remain from before the start

    async def run_once(self) -> int:
        """Run chunks until no operation is left. Return the number of chunks."""
        done = 0
        try:
            while await self._bulk.step():
                done += 1
                await asyncio.sleep(0)  # let the requests whose commit has ended go first
        except BaseException:  # a chunk failed, or another server is the leader now
            self._bulk.work.set()
            raise
        return done

    async def wait(self) -> None:
        """Return when an operation may wait."""
        await self._bulk.work.wait()
        self._bulk.work.clear()
