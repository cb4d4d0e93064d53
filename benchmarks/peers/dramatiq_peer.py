"""Dramatiq on Redis."""

import time
from collections.abc import Sequence

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from peer import PAYLOAD, Start, SyncPeer


class Peer(SyncPeer):
    """Default settings: acknowledges after the job, 8 threads, no results."""

    def __init__(self, url: str, queue: str) -> None:
        super().__init__(url, queue)
        self.broker = RedisBroker(url=url)
        dramatiq.set_broker(self.broker)
        self._start: Start | None = None

        @dramatiq.actor(queue_name=queue)
        def noop(number: int, to: str, subject: str) -> None:
            del to, subject
            if self._start is not None:
                self._start(number)

        self.actor = noop

    def enqueue(self, number: int) -> None:
        self.actor.send(number, **PAYLOAD)

    def enqueue_many(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.actor.send(number, **PAYLOAD)

    def count_unfinished(self) -> int:
        # Its Redis broker keeps each message here until it is acknowledged.
        return int(self.broker.client.hlen(f"dramatiq:{self.queue}.msgs"))

    def work(self, start: Start) -> None:
        self._start = start
        worker = dramatiq.Worker(self.broker, worker_threads=8)
        worker.start()
        while True:
            time.sleep(1)
