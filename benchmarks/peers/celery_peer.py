"""Celery on Redis."""

from collections.abc import Sequence

from celery import Celery, group
from redis import Redis

from peer import PAYLOAD, Start, SyncPeer


class Peer(SyncPeer):
    """Acknowledges after the job and keeps no results.

    It uses a thread pool and a long prefetch, as the documentation of Celery advises.
    """

    def __init__(self, url: str, queue: str) -> None:
        super().__init__(url, queue)
        self.app = Celery("peer", broker=url)
        self.app.conf.update(
            task_acks_late=True,
            task_ignore_result=True,
            task_default_queue=queue,
            broker_pool_limit=50,
            broker_connection_retry_on_startup=True,
            worker_prefetch_multiplier=16,
            worker_hijack_root_logger=False,
        )
        self._start: Start | None = None

        @self.app.task(name="noop")
        def noop(number: int, to: str, subject: str) -> None:
            del to, subject
            if self._start is not None:
                self._start(number)

        self.task = noop

    def enqueue(self, number: int) -> None:
        self.task.delay(number, **PAYLOAD)

    def enqueue_many(self, numbers: Sequence[int]) -> None:
        group(self.task.s(number, **PAYLOAD) for number in numbers).apply_async()

    def count_unfinished(self) -> int:
        with Redis.from_url(self.url) as redis:
            return int(redis.llen(self.queue)) + int(redis.hlen("unacked"))

    def work(self, start: Start) -> None:
        self._start = start
        options = ["--pool=threads", "--concurrency=8", "--loglevel=WARNING"]
        options += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        self.app.worker_main(["worker", *options])
