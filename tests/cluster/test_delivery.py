"""A job that is enqueued at one node wakes a fetch that waits at another node."""

import asyncio
import time
from statistics import quantiles

from cluster.conftest import StartNodes
from corvo_client import AsyncClient
from corvo_client.worker import Worker
from server_support.postgres import PostgresServer
from server_support.waiting import wait_until
from support.api_client import ApiClient, new_name

JOBS = 200


async def test_an_enqueue_at_one_node_wakes_a_fetch_at_another(
    database: PostgresServer, start_nodes: StartNodes
) -> None:
    one, other = start_nodes(database.url(), 2)
    p50, p99 = await _delivery(one.url, other.url)
    print(f"\n{JOBS} jobs from one node to another: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    assert p50 < 100, "the poll of every second found the jobs, not the notification"


async def test_jobs_reach_another_node_without_notifications(
    database: PostgresServer, start_nodes: StartNodes
) -> None:
    one, other = start_nodes(database.url(), 2, notify=False)
    p50, p99 = await _delivery(one.url, other.url, jobs=20)
    print(f"\nwithout LISTEN: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    assert p99 < 2_000


async def _delivery(source: str, target: str, jobs: int = JOBS) -> tuple[float, float]:
    queue = new_name()
    took = []
    async with ApiClient(source) as producer, ApiClient(target) as worker:
        for number in range(jobs):
            fetching = asyncio.create_task(worker.fetch(queue, timeout=20))
            await worker.see_waiting(1)
            started = time.perf_counter()
            await producer.enqueue(queue, number)
            job = await fetching
            took.append((time.perf_counter() - started) * 1000)
            assert job["payload"] == number
            await worker.ack(job)
    cuts = quantiles(took, n=100)
    return cuts[49], cuts[98]


async def test_a_worker_with_two_nodes_continues_when_one_is_killed(
    database: PostgresServer, start_nodes: StartNodes
) -> None:
    nodes = start_nodes(database.url(), 2)
    urls = ",".join(node.url for node in nodes)
    queue = new_name()
    done: list[int] = []
    worker = Worker(urls, concurrency=4, lease_duration=5)

    @worker.task(queue)
    async def work(number: int) -> None:
        done.append(number)

    running = asyncio.create_task(worker.run_async())
    async with AsyncClient(urls) as client:
        for number in range(60):
            await client.enqueue(queue, {"number": number})
            if number == 20:
                await asyncio.to_thread(nodes[0].kill)
            if number == 40:
                await asyncio.to_thread(nodes[0].restart)
                await asyncio.to_thread(nodes[1].kill)
        await wait_until(lambda: len(set(done)) == 60, "every job is done")
    worker.stop()
    await running
