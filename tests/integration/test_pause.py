"""Paused queues: jobs are enqueued but not fetched."""

import asyncio

from support.api_client import ApiClient, new_name


async def test_a_paused_queue_returns_no_jobs_until_resumed(api: ApiClient, queue: str) -> None:
    job_id = await api.enqueue(queue)
    assert await api.post(f"/queues/{queue}/pause") == {"status": "paused"}
    assert (await api.queue(queue))["paused"] is True
    second = await api.enqueue(queue)
    assert await api.try_fetch(queue) is None
    assert (await api.queue(queue))["pending"] == 2

    assert await api.post(f"/queues/{queue}/resume") == {"status": "resumed"}
    assert (await api.queue(queue))["paused"] is False
    jobs = await api.fetch_batch(queue, count=2)
    assert [job["job_id"] for job in jobs] == [job_id, second]


async def test_a_waiting_fetch_gets_its_job_when_the_queue_is_resumed(
    api: ApiClient, queue: str
) -> None:
    await api.post(f"/queues/{queue}/pause")
    fetch = asyncio.create_task(api.fetch(queue, timeout=60))
    await api.see_waiting(1)
    job_id = await api.enqueue(queue)
    await api.see_waiting(1)
    assert not fetch.done()
    assert await api.state(job_id) == "pending"
    await api.post(f"/queues/{queue}/resume")
    assert (await asyncio.wait_for(fetch, 20))["job_id"] == job_id


async def test_a_pause_applies_to_a_fetch_that_already_waits(api: ApiClient, queue: str) -> None:
    fetch = asyncio.create_task(api.fetch(queue, timeout=60))
    await api.see_waiting(1)
    await api.post(f"/queues/{queue}/pause")
    job_id = await api.enqueue(queue)
    assert await api.state(job_id) == "pending"
    assert not fetch.done()
    await api.post(f"/queues/{queue}/resume")
    assert (await asyncio.wait_for(fetch, 20))["job_id"] == job_id


async def test_a_fetch_returns_jobs_of_its_other_queues(api: ApiClient, queue: str) -> None:
    other = new_name()
    await api.enqueue(queue, priority="critical")
    await api.post(f"/queues/{queue}/pause")
    job_id = await api.enqueue(other)
    assert (await api.fetch(queue, other))["job_id"] == job_id
    assert await api.try_fetch(queue, other) is None


async def test_active_jobs_of_a_paused_queue_can_be_acked(api: ApiClient, queue: str) -> None:
    await api.enqueue(queue)
    leased = await api.fetch(queue)
    await api.post(f"/queues/{queue}/pause")
    assert await api.heartbeat(leased) == {"status": "ok"}
    await api.ack(leased)
    assert (await api.queue(queue))["completed"] == 1


async def test_a_queue_can_be_paused_before_its_first_job(api: ApiClient, queue: str) -> None:
    await api.post(f"/queues/{queue}/pause")
    await api.enqueue(queue)
    assert await api.try_fetch(queue) is None


async def test_a_queue_with_a_slash_in_its_name_can_be_paused(api: ApiClient) -> None:
    queue = f"billing/{new_name()}:eu"
    await api.enqueue(queue)
    await api.post(f"/queues/{queue.replace('/', '%2F')}/pause")
    assert await api.try_fetch(queue) is None
    assert (await api.queue(queue))["paused"] is True
