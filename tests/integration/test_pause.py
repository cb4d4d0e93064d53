"""Queues that are paused: jobs come in, none goes out."""

import asyncio

from support.wire import Wire, new_name


async def test_a_paused_queue_hands_nothing_out_until_resumed(wire: Wire, queue: str) -> None:
    job_id = await wire.enqueue(queue)
    assert await wire.post(f"/queues/{queue}/pause") == {"status": "paused"}
    assert (await wire.queue(queue))["paused"] is True
    second = await wire.enqueue(queue)
    assert await wire.try_fetch(queue) is None
    assert (await wire.queue(queue))["pending"] == 2

    assert await wire.post(f"/queues/{queue}/resume") == {"status": "resumed"}
    assert (await wire.queue(queue))["paused"] is False
    jobs = await wire.fetch_batch(queue, count=2)
    assert [job["job_id"] for job in jobs] == [job_id, second]


async def test_a_waiting_fetch_gets_its_job_when_the_queue_is_resumed(
    wire: Wire, queue: str
) -> None:
    await wire.post(f"/queues/{queue}/pause")
    fetch = asyncio.create_task(wire.fetch(queue, timeout=60))
    await wire.see_waiting(1)
    job_id = await wire.enqueue(queue)
    await wire.see_waiting(1)
    assert not fetch.done()
    assert await wire.state(job_id) == "pending"
    await wire.post(f"/queues/{queue}/resume")
    assert (await asyncio.wait_for(fetch, 20))["job_id"] == job_id


async def test_a_pause_takes_hold_of_a_fetch_that_waits_already(wire: Wire, queue: str) -> None:
    fetch = asyncio.create_task(wire.fetch(queue, timeout=60))
    await wire.see_waiting(1)
    await wire.post(f"/queues/{queue}/pause")
    job_id = await wire.enqueue(queue)
    assert await wire.state(job_id) == "pending"
    assert not fetch.done()
    await wire.post(f"/queues/{queue}/resume")
    assert (await asyncio.wait_for(fetch, 20))["job_id"] == job_id


async def test_other_queues_of_a_fetch_are_served_meanwhile(wire: Wire, queue: str) -> None:
    other = new_name()
    await wire.enqueue(queue, priority="critical")
    await wire.post(f"/queues/{queue}/pause")
    job_id = await wire.enqueue(other)
    assert (await wire.fetch(queue, other))["job_id"] == job_id
    assert await wire.try_fetch(queue, other) is None


async def test_jobs_that_are_held_already_can_be_finished(wire: Wire, queue: str) -> None:
    await wire.enqueue(queue)
    leased = await wire.fetch(queue)
    await wire.post(f"/queues/{queue}/pause")
    assert await wire.heartbeat(leased) == {"status": "ok"}
    await wire.ack(leased)
    assert (await wire.queue(queue))["completed"] == 1


async def test_a_queue_can_be_paused_before_its_first_job(wire: Wire, queue: str) -> None:
    await wire.post(f"/queues/{queue}/pause")
    await wire.enqueue(queue)
    assert await wire.try_fetch(queue) is None


async def test_a_queue_with_a_slash_in_its_name_can_be_paused(wire: Wire) -> None:
    queue = f"billing/{new_name()}:eu"
    await wire.enqueue(queue)
    await wire.post(f"/queues/{queue.replace('/', '%2F')}/pause")
    assert await wire.try_fetch(queue) is None
    assert (await wire.queue(queue))["paused"] is True
