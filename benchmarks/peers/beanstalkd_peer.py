"""beanstalkd, with the client greenstalk."""

import json
import threading
from collections.abc import Sequence
from urllib.parse import urlsplit

from greenstalk import Client, NotFoundError

from peer import PAYLOAD, Start, SyncPeer

_THREADS = 8


class Peer(SyncPeer):
    """One connection for each thread, because a client can run only one command at a time."""

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
        except NotFoundError:  # a tube exists only while it has jobs or clients
            return 0
        states = ("ready", "reserved", "delayed", "buried")
        return sum(int(tube[f"current-jobs-{state}"]) for state in states)

    def work(self, start: Start) -> None:
        def run_jobs() -> None:
            client = self._client
            while True:
                job = client.reserve()
                start(json.loads(job.body)["number"])
                client.delete(job)

        threads = [threading.Thread(target=run_jobs, daemon=True) for _ in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    @property
    def _client(self) -> Client:
        client: Client | None = getattr(self._own, "client", None)
        if client is None:
            parts = urlsplit(self.url)
            client = Client((parts.hostname, parts.port), use=self.queue, watch=self.queue)
            self._own.client = client
        return client
