"""TaskIQ on Redis."""

import asyncio
from collections.abc import Sequence

from redis.asyncio import Redis
from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker

from peer import PAYLOAD, AsyncPeer, Start


class Peer(AsyncPeer):
    """Uses the stream broker, which acknowledges jobs. Runs 50 at a time and keeps no results."""

    def __init__(self, url: str, queue: str) -> None:
        super().__init__(url, queue)
        self._broker = RedisStreamBroker(url, queue_name=queue, consumer_group_name=queue)
        self._start: Start | None = None

        @self._broker.task(task_name="noop")
        async def noop(number: int, to: str, subject: str) -> None:
            del to, subject
            if self._start is not None:
                self._start(number)

        self._task = noop

    async def open(self) -> None:
        await self._broker.startup()

    async def close(self) -> None:
        await self._broker.shutdown()

    async def enqueue(self, number: int) -> None:
        await self._task.kiq(number, **PAYLOAD)

    async def enqueue_many(self, numbers: Sequence[int]) -> None:
        await asyncio.gather(*map(self.enqueue, numbers))

    async def count_unfinished(self) -> int:
        async with Redis.from_url(self.url) as redis:
            (group,) = await redis.xinfo_groups(self.queue)
        return int(group["pending"]) + int(group["lag"])

    async def work(self, start: Start) -> None:
        self._start = start
        await run_receiver_task(self._broker, max_async_tasks=50, max_prefetch=100)
