"""Batches: their counters, and the callback job that is enqueued once, after the last job."""

import asyncio
from typing import Any

import pytest

from support.api_client import ApiClient, Body, new_name


async def enqueue_batch(
    api: ApiClient, queue: str, jobs: int, callback_queue: str, **options: Any
) -> Body:
    body = {
        "jobs": [{"queue": queue, "payload": i, **options} for i in range(jobs)],
        "batch": {"callback_queue": callback_queue, "callback_payload": {"report": 7}},
    }
    answer: Body = await api.post("/enqueue/batch", body)
    return answer


async def test_the_last_job_enqueues_the_callback(api: ApiClient, queue: str) -> None:
    callbacks = new_name()
    batch_id = (await enqueue_batch(api, queue, 3, callbacks))["batch_id"]
    jobs = await api.fetch_batch(queue, count=3)
    assert {job["batch_id"] for job in jobs} == {batch_id}
    for job in jobs[:2]:
        await api.ack(job)
    batch = await api.get(f"/batches/{batch_id}")
    assert (batch["state"], batch["total"], batch["pending"]) == ("running", 3, 1)
    assert await api.try_fetch(callbacks) is None

    waiting = asyncio.create_task(api.fetch(callbacks, timeout=60))
    await api.see_waiting(1)
    await api.ack(jobs[2])
    callback = await asyncio.wait_for(waiting, 20)
    assert callback["payload"] == {
        "batch_id": batch_id,
        "total": 3,
        "succeeded": 3,
        "failed": 0,
        "cancelled": 0,
        "payload": {"report": 7},
    }
    batch = await api.get(f"/batches/{batch_id}")
    assert (batch["state"], batch["pending"]) == ("finished", 0)
    assert batch["callback_job_id"] == callback["job_id"]


async def test_each_job_counts_once(api: ApiClient, queue: str) -> None:
    callbacks = new_name()
    batch = await enqueue_batch(api, queue, 4, callbacks, max_retries=1)
    completed, dead, cancelled, _ = batch["job_ids"]
    first, second = await api.fetch_batch(queue, count=2)
    await api.ack(first)
    await api.fail(second)
    await api.post(f"/jobs/{cancelled}/cancel")
    # The job is retried and ends again, but it is already counted.
    await api.post(f"/jobs/{dead}/retry")
    again = await api.fetch(queue)
    assert again["job_id"] == dead
    await api.ack(again)
    assert await api.try_fetch(callbacks) is None
    await api.fail(await api.fetch(queue), retry=False)

    callback = await api.fetch(callbacks)
    counts = {name: callback["payload"][name] for name in ("succeeded", "failed", "cancelled")}
    assert counts == {"succeeded": 1, "failed": 2, "cancelled": 1}
    assert await api.try_fetch(callbacks) is None
    assert await api.state(completed) == "completed"


async def test_jobs_that_end_at_the_same_time_enqueue_one_callback(
    api: ApiClient, queue: str
) -> None:
    callbacks = new_name()
    await enqueue_batch(api, queue, 20, callbacks)
    jobs = await api.fetch_batch(queue, count=20)
    await asyncio.gather(*(api.ack(job) for job in jobs))
    found = await api.fetch_batch(callbacks, count=10)
    assert [job["payload"]["succeeded"] for job in found] == [20]


async def test_a_batch_is_enqueued_completely_or_not_at_all(api: ApiClient, queue: str) -> None:
    jobs: list[Body] = [{"queue": queue} for _ in range(5)]
    jobs[3] = {"queue": queue, "max_retries": -1}
    refusal = await api.refused("/enqueue/batch", {"jobs": jobs})
    assert (refusal.status, refusal.code) == (400, "VALIDATION_ERROR")
    assert refusal.fields == ["jobs[3].max_retries"]
    assert await api.try_fetch(queue) is None
    assert queue not in [known["name"] for known in await api.get("/queues")]


@pytest.mark.parametrize("jobs", [0, 10_001])
async def test_an_empty_or_too_large_batch_is_refused(
    api: ApiClient, queue: str, jobs: int
) -> None:
    refusal = await api.refused("/enqueue/batch", {"jobs": [{"queue": queue}] * jobs})
    assert (refusal.status, refusal.code, refusal.fields) == (400, "VALIDATION_ERROR", ["jobs"])


async def test_the_largest_batch_is_accepted(api: ApiClient, queue: str) -> None:
    jobs = [{"queue": queue, "payload": i} for i in range(10_000)]
    answer = await api.post("/enqueue/batch", {"jobs": jobs})
    assert len(set(answer["job_ids"])) == 10_000
    assert (await api.queue(queue))["pending"] == 10_000
    taken = await api.fetch_batch(queue, count=512)
    assert [job["payload"] for job in taken] == list(range(512))


async def test_an_unknown_batch_is_not_found(api: ApiClient) -> None:
    refusal = await api.refused("/batches/batch_01ARZ3NDEKTSV4RRFFQ69G5FAV", method="GET")
    assert (refusal.status, refusal.code) == (404, "NOT_FOUND")
