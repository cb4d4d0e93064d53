"""Measure the time from an enqueue until one of many waiting workers has the job."""

import asyncio
import random
import time
from collections.abc import Sequence

from corvo_bench.latency import Latencies
from corvo_bench.load.asking import BlockingConnection
from corvo_bench.load.outcome import Outcome, cpu_seconds
from corvo_bench.load.raw_connection import Script, Tally, play, request, run_loop, text_of
from corvo_bench.results import BenchmarkError
from corvo_bench.server import API

_LONGEST_POLL = 60
_SETTLE_SECONDS = 1.0
_PATIENCE_SECONDS = 10.0


def deliveries(url: str, queue: str, waiting: Sequence[str], jobs: int, pause: float) -> Outcome:
    """Enqueue single jobs at random moments, while one worker waits in each queue of `waiting`.

    A latency runs from sending the enqueue until the job arrives at a worker. The mean pause
    between enqueues is `pause` seconds.
    """
    deliveries = _Deliveries(url)
    used = cpu_seconds()
    started = time.perf_counter()
    run_loop(lambda: deliveries.run(queue, waiting, jobs, pause))
    return Outcome(
        seconds=time.perf_counter() - started,
        count=len(deliveries.finished),
        cpu_seconds=cpu_seconds() - used,
        statuses=deliveries.tally.statuses,
        latencies=Latencies(deliveries.latencies),
        enqueued=deliveries.enqueued,
        finished=deliveries.finished,
    )


class _Deliveries:
    def __init__(self, url: str) -> None:
        self.tally = Tally()
        self.latencies: list[float] = []
        self.enqueued: list[str] = []
        self.finished: list[str] = []
        self._url = url
        self._sent: dict[bytes, float] = {}
        self._has_finished = asyncio.Event()

    async def run(self, queue: str, waiting: Sequence[str], jobs: int, pause: float) -> None:
        workers = asyncio.create_task(
            play(self._url, [self._worker(name) for name in waiting], self.tally)
        )
        await asyncio.sleep(_SETTLE_SECONDS)
        # In a thread, because the event loop sleeps with a precision of only one millisecond.
        await asyncio.to_thread(self._produce, queue, jobs, pause)
        all_finished = asyncio.create_task(self._wait_for(jobs))
        ends = {workers, all_finished}
        await asyncio.wait(ends, timeout=_PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        workers.cancel()
        all_finished.cancel()
        ended, _ = await asyncio.gather(workers, all_finished, return_exceptions=True)
        if isinstance(ended, Exception):
            raise ended

    def _worker(self, queue: str) -> Script:
        asked = {"queues": [queue], "worker_id": "bench", "timeout": _LONGEST_POLL}
        fetch = request(self._url, "POST", f"{API}/fetch", asked)
        while True:
            status, body = yield fetch
            arrived = time.perf_counter()
            if status != 200:
                continue
            self.latencies.append(arrived - self._sent.pop(text_of(body, b"mark")))
            job_id = text_of(body, b"job_id").decode()
            ack = {"lease_token": text_of(body, b"lease_token").decode()}
            yield request(self._url, "POST", f"{API}/ack/{job_id}", ack)
            self.finished.append(job_id)
            self._has_finished.set()

    async def _wait_for(self, jobs: int) -> None:
        while len(self.finished) < jobs:
            self._has_finished.clear()
            await self._has_finished.wait()

    def _produce(self, queue: str, jobs: int, pause: float) -> None:
        chance = random.Random(7)
        with BlockingConnection(self._url) as connection:
            for number in range(jobs):
                time.sleep(chance.uniform(0.5, 1.5) * pause)
                mark = str(number)
                body = {"queue": queue, "payload": {"mark": mark}}
                data = request(self._url, "POST", f"{API}/enqueue", body)
                self._sent[mark.encode()] = time.perf_counter()
                status, answer = connection.ask(data)
                if status != 201:
                    raise BenchmarkError(f"{status} {answer[:300]!r}")
                self.enqueued.append(text_of(answer, b"job_id").decode())
