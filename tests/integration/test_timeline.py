"""The times of a job's events follow their order, also under load."""

import asyncio
from itertools import pairwise

from support.api_client import ApiClient, LeasedJob


async def test_times_do_not_run_backwards_under_load(api: ApiClient, queue: str) -> None:
    """The load makes enqueues and fetches share commits, where a wrong order is most likely."""
    total = 240
    done: list[LeasedJob] = []

    async def work() -> None:
        while len(done) < total:
            job = await api.try_fetch(queue, timeout=0.5)
            if job is not None:
                done.append(job)
                await api.ack(job)

    async def produce() -> None:
        for _ in range(total // 8):
            await api.enqueue(queue)

    await asyncio.gather(*(work() for _ in range(16)), *(produce() for _ in range(8)))
    assert len(done) == total
    for leased in done:
        job = await api.job(leased["job_id"])
        assert job["created_at"] <= job["started_at"] <= job["completed_at"]
        times = [event["created_at"] for event in job["timeline"]]
        assert all(earlier <= later for earlier, later in pairwise(times)), job["timeline"]
