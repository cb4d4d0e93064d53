"""beanstalkd, by greenstalk."""

import json
import threading
from collections.abc import Sequence
from urllib.parse import urlsplit

from greenstalk import Client, NotFoundError

from peer import PAYLOAD, Start, SyncPeer

_THREADS = 8


class Peer(SyncPeer):
    """A connection for each thread: a client can have one command under way."""

    def __init__(self, url: str, queue: str) -> None:
        super().__init__(url, queue)
        self._own = threading.local()

    def enqueue(self, number: int) -> None:
        self._client.put(json.dumps({"number": number, **PAYLOAD}))

    def enqueue_many(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.enqueue(number)

    def count_unfinished(self) -> int:
        client = self._client
        try:
            tube = client.stats_tube(self.queue)
        except NotFoundError:  # there is no tube without a job or a user
            return 0
        states = ("ready", "reserved", "delayed", "buried")
        return sum(int(tube[f"current-jobs-{state}"]) for state in states)

    def work(self, start: Start) -> None:
        def one_after_the_other() -> None:
            client = self._client
            while True:
                job = client.reserve()
                start(json.loads(job.body)["number"])
                client.delete(job)

        threads = [
            threading.Thread(target=one_after_the_other, daemon=True) for _ in range(_THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    @property
    def _client(self) -> Client:
        client: Client | None = getattr(self._own, "client", None)
        if client is None:
            place = urlsplit(self.url)
            client = Client((place.hostname, place.port), use=self.queue, watch=self.queue)
            self._own.client = client
        return client
