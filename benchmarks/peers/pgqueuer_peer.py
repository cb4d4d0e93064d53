"""PgQueuer on PostgreSQL."""

import json
from collections.abc import Sequence

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from peer import PAYLOAD, AsyncPeer, Start


class Peer(AsyncPeer):
    """Uses asyncpg and fetches 100 jobs at a time."""

    async def open(self) -> None:
        self._pool = await asyncpg.create_pool(self.url, min_size=4, max_size=20)
        self._queuer = PgQueuer.from_asyncpg_pool(self._pool)
        self._queries: Queries = self._queuer.qm.queries

    async def close(self) -> None:
        await self._pool.close()

    async def prepare(self) -> None:
        if not await self._queries.has_table("pgqueuer"):
            await self._queries.install()

    async def enqueue(self, number: int) -> None:
        await self._queries.enqueue(self.queue, _payload(number))

    async def enqueue_many(self, numbers: Sequence[int]) -> None:
        payloads = [_payload(number) for number in numbers]
        await self._queries.enqueue([self.queue] * len(payloads), payloads, [0] * len(payloads))

    async def count_unfinished(self) -> int:
        sizes = await self._queries.queue_size()
        return sum(size.count for size in sizes if size.entrypoint == self.queue)

    async def work(self, start: Start) -> None:
        @self._queuer.entrypoint(self.queue)
        async def noop(job: Job) -> None:
            start(json.loads(job.payload or b"")["number"])

        await self._queuer.run(batch_size=100)


def _payload(number: int) -> bytes:
    return json.dumps({"number": number, **PAYLOAD}).encode()
