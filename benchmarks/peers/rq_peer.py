"""RQ on Redis."""

from collections.abc import Sequence

from redis import Redis
from rq import Queue, SimpleWorker
from rq.registry import StartedJobRegistry

from peer import PAYLOAD, Start, SyncPeer

_start: Start | None = None


def noop(number: int, to: str, subject: str) -> None:
    """Record the start of the job. RQ finds this function by its name."""
    del to, subject
    if _start is not None:
        _start(number)


class Peer(SyncPeer):
    """Uses `SimpleWorker`, which does not fork for each job, and keeps no results."""

    def __init__(self, url: str, queue: str) -> None:
        super().__init__(url, queue)
        self._redis = Redis.from_url(url)
        self._queue = Queue(queue, connection=self._redis)

    def enqueue(self, number: int) -> None:
        self._queue.enqueue(noop, number, **PAYLOAD, result_ttl=0)

    def enqueue_many(self, numbers: Sequence[int]) -> None:
        self._queue.enqueue_many(
            [
                Queue.prepare_data(noop, args=(number,), kwargs=dict(PAYLOAD), result_ttl=0)
                for number in numbers
            ]
        )

    def count_unfinished(self) -> int:
        started = StartedJobRegistry(queue=self._queue)
        return int(self._queue.count) + int(started.count)

    def work(self, start: Start) -> None:
        global _start  # noqa: PLW0603 - the job is a function of this module
        _start = start
        worker = SimpleWorker([self._queue], connection=self._redis)
        worker.work(logging_level="WARNING")
