"""Generate load with the Corvo client and worker, as an application uses them."""

import asyncio
import time
from collections.abc import Iterator

from corvo_bench.latency import Latencies
from corvo_bench.load.closed import PAYLOAD
from corvo_bench.load.outcome import Outcome, cpu_seconds
from corvo_client import AsyncClient, Client, NewJob
from corvo_client.worker import Worker


def serial(url: str, queue: str, jobs: int) -> Outcome:
    """Call `Client.enqueue` `jobs` times, one call at a time."""
    latencies: list[float] = []
    ids: list[str] = []
    with Client(url) as client:
        ids.append(client.enqueue(queue, PAYLOAD).job_id)  # connects
        used, started = cpu_seconds(), time.perf_counter()
        for _ in range(jobs):
            sent = time.perf_counter()
            ids.append(client.enqueue(queue, PAYLOAD).job_id)
            latencies.append(time.perf_counter() - sent)
        took = time.perf_counter() - started
    return Outcome(took, jobs, cpu_seconds() - used, latencies=Latencies(latencies), enqueued=ids)


def concurrent(url: str, queue: str, jobs: int, in_flight: int) -> Outcome:
    """Call `AsyncClient.enqueue` `jobs` times from `in_flight` tasks."""
    return asyncio.run(_concurrent(url, queue, jobs, in_flight))


async def _concurrent(url: str, queue: str, jobs: int, in_flight: int) -> Outcome:
    latencies: list[float] = []
    ids: list[str] = []
    left: Iterator[int] = iter(range(jobs))

    async with AsyncClient(url) as client:

        async def produce() -> None:
            for _ in left:
                sent = time.perf_counter()
                ids.append((await client.enqueue(queue, PAYLOAD)).job_id)
                latencies.append(time.perf_counter() - sent)

        ids.append((await client.enqueue(queue, PAYLOAD)).job_id)
        used, started = cpu_seconds(), time.perf_counter()
        await asyncio.gather(*(produce() for _ in range(in_flight)))
        took = time.perf_counter() - started
    return Outcome(took, jobs, cpu_seconds() - used, latencies=Latencies(latencies), enqueued=ids)


def bulk(url: str, queue: str, jobs: int, per_call: int) -> list[str]:
    """Enqueue with `Client.enqueue_batch`, `per_call` jobs per call. Return the job ids."""
    ids: list[str] = []
    with Client(url) as client:
        for start in range(0, jobs, per_call):
            count = min(per_call, jobs - start)
            batch: list[NewJob] = [{"queue": queue, "payload": PAYLOAD}] * count
            ids += client.enqueue_batch(batch).job_ids
    return ids


def work(url: str, queue: str, concurrency: int) -> None:
    """Run a `Worker` with a handler that does nothing, until the process is terminated."""
    worker = Worker(url, concurrency=concurrency)

    @worker.task(queue)
    async def noop(to: str, subject: str) -> None:
        del to, subject

    worker.run()
