"""Many large jobs on a real server: a worker runs all, and the clients read all."""

import json
from collections import Counter

from corvo_client import AsyncClient, Client, NewJob
from corvo_client.worker import Worker
from server_support.waiting import wait_until
from support.api_client import ApiClient
from support.server import StartServer

JOBS = 100


async def test_worker_runs_all_jobs_though_each_fetch_returns_few(
    start_server: StartServer, queue: str
) -> None:
    server = start_server(max_fetch_bytes=20_000)
    ran: Counter[int] = Counter()
    worker = Worker(server.url, concurrency=10)

    @worker.task(queue)
    async def run(number: int, text: str) -> None:
        assert len(text) == 6_000
        ran[number] += 1

    async with AsyncClient(server.url) as client, ApiClient(server.url) as api:
        await client.enqueue_batch(
            [
                NewJob(queue=queue, payload={"number": number, "text": "x" * 6_000})
                for number in range(JOBS)
            ]
        )
        first = await api.fetch_batch(queue, count=50)
        assert [job["payload"]["number"] for job in first] == [0, 1, 2]
        for job in first:
            await api.release(job)

        async def is_done() -> bool:
            return (await client.get_queue(queue)).completed == JOBS

        async with worker:
            await wait_until(is_done)
    assert ran == dict.fromkeys(range(JOBS), 1)


def test_client_reads_jobs_that_are_too_large_for_one_reply(
    start_server: StartServer, queue: str
) -> None:
    server = start_server()
    with Client(server.url) as client:
        ids = ["nobody"]
        for _ in range(7):
            some = [NewJob(queue=queue, payload="x" * 200_000) for _ in range(30)]
            ids += client.enqueue_batch(some).job_ids
        jobs = client.bulk_get([*ids, ids[1]])
        assert [job.id for job in jobs] == ids[1:]
        pages = [client.search(queue=queue, limit=1000)]
        while cursor := pages[-1].cursor:
            pages.append(client.search(queue=queue, limit=1000, cursor=cursor))
        sizes = [sum(len(json.dumps(job.payload)) for job in page.jobs) for page in pages]
        assert max(sizes) <= 8 * 2**20
        assert sum(len(page.jobs) for page in pages) == len(jobs)
