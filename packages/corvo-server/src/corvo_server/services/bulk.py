"""Does bulk operations in the background, one chunk after the other, also across restarts."""

import asyncio

from corvo_server.engine.bulk import Bulk
from corvo_server.services.service import Service


class BulkRunner(Service):
    """Does bulk operations in the background, the oldest first."""

    name = "bulk"

    def __init__(self, bulk: Bulk) -> None:
        self._bulk = bulk
        bulk.work.set()  # of before the start

    async def run_once(self) -> int:
        """`step` until no operation is left to do; how many chunks it took."""
        done = 0
        while await self._bulk.step():
            done += 1
            await asyncio.sleep(0)  # whoever waits for a commit goes first
        return done

    async def wait(self) -> None:
        """Until an operation is taken in."""
        await self._bulk.work.wait()
        self._bulk.work.clear()
