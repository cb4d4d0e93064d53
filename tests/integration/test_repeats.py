"""Repeated requests, as after a lost response, have no second effect."""

import asyncio

from corvo_schema import new_job_id
from support.api_client import ApiClient, new_name


async def test_an_enqueue_with_the_same_id_is_one_job(api: ApiClient, queue: str) -> None:
    body = {"queue": queue, "payload": 1, "job_id": new_job_id()}
    first = await api.send("POST", "/enqueue", body)
    assert first.status_code == 201
    again = await api.send("POST", "/enqueue", body)
    assert again.status_code == 200
    assert again.json() == {
        "job_id": body["job_id"],
        "status": "pending",
        "unique_existing": False,
    }
    assert len(await api.fetch_batch(queue, count=10)) == 1
    assert (await api.post("/enqueue", body))["status"] == "active"
    assert (await api.queue(queue))["enqueued"] == 1


async def test_an_enqueue_sent_twice_at_once_is_one_job(api: ApiClient, queue: str) -> None:
    for _ in range(20):
        body = {"queue": queue, "job_id": new_job_id()}
        responses = await asyncio.gather(*(api.send("POST", "/enqueue", body) for _ in range(5)))
        assert sorted(response.status_code for response in responses) == [200] * 4 + [201]
    assert len(await api.fetch_batch(queue, count=100)) == 20


async def test_a_repeated_batch_is_the_same_batch(api: ApiClient, queue: str) -> None:
    callbacks = new_name()
    body = {
        "jobs": [{"queue": queue, "payload": i, "job_id": new_job_id()} for i in range(5)],
        "batch": {"callback_queue": callbacks},
    }
    first = await api.post("/enqueue/batch", body)
    again = await api.post("/enqueue/batch", body)
    assert again["job_ids"] == first["job_ids"]
    assert again["batch_id"] == first["batch_id"]
    for job in await api.fetch_batch(queue, count=10):
        await api.ack(job)
    assert (await api.post("/enqueue/batch", body))["batch_id"] == first["batch_id"]
    assert len(await api.fetch_batch(callbacks, count=10)) == 1


async def test_a_repeated_ack_is_ok_and_keeps_the_first_result(api: ApiClient, queue: str) -> None:
    await api.enqueue(queue)
    leased = await api.fetch(queue)
    await api.ack(leased, result="first")
    await api.ack(leased, result="second")
    job = await api.job(leased["job_id"])
    assert job["result"] == "first"
    assert await api.events_of(leased["job_id"]) == ["enqueued", "started", "completed"]
    answer = await api.post(
        "/ack/batch",
        {"acks": [{"job_id": leased["job_id"], "lease_token": leased["lease_token"]}] * 2},
    )
    assert answer["acked"] == 2


async def test_a_repeated_fail_counts_once(api: ApiClient, queue: str) -> None:
    job_id = await api.enqueue(queue, max_retries=5, retry_base_delay="1h", retry_max_delay="1h")
    leased = await api.fetch(queue)
    first = await api.fail(leased, "once")
    assert await api.fail(leased, "once") == first
    job = await api.job(job_id)
    assert len(job["errors"]) == 1
    assert (await api.queue(queue))["failed"] == 1


async def test_a_repeated_fail_does_not_touch_the_next_attempt(api: ApiClient, queue: str) -> None:
    await api.enqueue(queue, max_retries=5, retry_backoff="none")
    leased = await api.fetch(queue)
    await api.fail(leased)
    current = await api.fetch(queue, timeout=20)
    body = {"error": "again", "lease_token": leased["lease_token"]}
    assert (await api.refused(f"/fail/{current['job_id']}", body)).code == "LEASE_LOST"
    await api.ack(current)


async def test_a_final_fail_can_be_repeated(api: ApiClient, queue: str) -> None:
    await api.enqueue(queue, max_retries=1)
    leased = await api.fetch(queue)
    dead = {"status": "dead", "attempts_remaining": 0}
    assert await api.fail(leased) == dead
    assert await api.fail(leased) == dead
    assert len((await api.job(leased["job_id"]))["errors"]) == 1


async def test_an_outcome_cannot_be_changed(api: ApiClient, queue: str) -> None:
    await api.enqueue(queue)
    leased = await api.fetch(queue)
    await api.ack(leased)
    body = {"error": "no", "lease_token": leased["lease_token"]}
    assert (await api.refused(f"/fail/{leased['job_id']}", body)).code == "INVALID_STATE"
    assert await api.state(leased["job_id"]) == "completed"
