"""Huey on SQLite."""

from collections.abc import Sequence

from huey import SqliteHuey

from peer import PAYLOAD, Start, SyncPeer

_POLL_SECONDS = 0.002


class Peer(SyncPeer):
    """Uses `synchronous=FULL` and one worker thread that polls often.

    Huey removes a job before it runs.
    """

    def __init__(self, url: str, queue: str) -> None:
        super().__init__(url, queue)
        self._huey = SqliteHuey(queue, filename=url, fsync=True, results=False, timeout=30)
        self._start: Start | None = None

        @self._huey.task(name="noop")
        def noop(number: int, to: str, subject: str) -> None:
            del to, subject
            if self._start is not None:
                self._start(number)

        self._task = noop

    def enqueue(self, number: int) -> None:
        self._task(number, **PAYLOAD)

    def enqueue_many(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._task(number, **PAYLOAD)

    def count_unfinished(self) -> int:
        return int(self._huey.pending_count())

    def work(self, start: Start) -> None:
        self._start = start
        consumer = self._huey.create_consumer(
            workers=1,
            periodic=False,
            initial_delay=_POLL_SECONDS,
            max_delay=_POLL_SECONDS,
            check_worker_health=False,
        )
        consumer.run()
