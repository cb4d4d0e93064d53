"""SAQ on Redis."""

import asyncio
from collections.abc import Sequence
from typing import Any

from saq import Queue, Worker

from peer import PAYLOAD, AsyncPeer, Start


class Peer(AsyncPeer):
    """Runs 50 jobs at a time and keeps no results."""

    async def open(self) -> None:
        self._queue = Queue.from_url(self.url, name=self.queue)
        await self._queue.connect()

    async def close(self) -> None:
        await self._queue.disconnect()

    async def enqueue(self, number: int) -> None:
        await self._queue.enqueue("noop", number=number, ttl=-1, **PAYLOAD)

    async def enqueue_many(self, numbers: Sequence[int]) -> None:
        await asyncio.gather(*map(self.enqueue, numbers))

    async def count_unfinished(self) -> int:
        return int(await self._queue.count("incomplete"))

    async def work(self, start: Start) -> None:
        async def noop(context: Any, *, number: int, to: str, subject: str) -> None:
            del context, to, subject
            start(number)

        await Worker(self._queue, [("noop", noop)], concurrency=50).start()
