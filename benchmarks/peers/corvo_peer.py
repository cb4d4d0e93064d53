"""Corvo, with its Python client and worker."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from corvo_client import AsyncClient, Client, NewJob
from corvo_client.worker import Worker
from peer import PAYLOAD, AsyncPeer, Start

_UNFINISHED = ("scheduled", "pending", "active", "retrying")


class Peer(AsyncPeer):
    """Uses `Client` for one call at a time, `AsyncClient` for many in flight, and one `Worker`.

    `url` may name several nodes, separated by commas.
    """

    async def open(self) -> None:
        self._clients = [AsyncClient(url) for url in self.url.split(",")]

    async def close(self) -> None:
        for client in self._clients:
            await client.close()

    @contextmanager
    def blocking(self) -> Iterator[Start]:
        with Client(self.url.partition(",")[0]) as client:

            def enqueue(number: int) -> None:
                client.enqueue(self.queue, {"number": number, **PAYLOAD})

            yield enqueue

    async def enqueue(self, number: int) -> None:
        client = self._clients[number % len(self._clients)]
        await client.enqueue(self.queue, {"number": number, **PAYLOAD})

    async def enqueue_many(self, numbers: Sequence[int]) -> None:
        jobs: list[NewJob] = [
            {"queue": self.queue, "payload": {"number": number, **PAYLOAD}} for number in numbers
        ]
        await self._clients[0].enqueue_batch(jobs)

    async def count_unfinished(self) -> int:
        queue = await self._clients[0].get_queue(self.queue)
        return sum(int(getattr(queue, state)) for state in _UNFINISHED)

    async def work(self, start: Start) -> None:
        worker = Worker(self.url.rpartition(",")[2], concurrency=50)

        @worker.task(self.queue)
        async def noop(number: int, to: str, subject: str) -> None:
            del to, subject
            start(number)

        await worker.run_async()
