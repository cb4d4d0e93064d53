"""Requests that are sent again because their answer was lost: no second effect."""

import asyncio

from corvo_schema import new_job_id
from support.wire import Wire, new_name


async def test_an_enqueue_with_the_same_id_is_one_job(wire: Wire, queue: str) -> None:
    body = {"queue": queue, "payload": 1, "job_id": new_job_id()}
    first = await wire.send("POST", "/enqueue", body)
    assert first.status_code == 201
    again = await wire.send("POST", "/enqueue", body)
    assert again.status_code == 200
    assert again.json() == {
        "job_id": body["job_id"],
        "status": "pending",
        "unique_existing": False,
    }
    assert len(await wire.fetch_batch(queue, count=10)) == 1
    assert (await wire.post("/enqueue", body))["status"] == "active"
    assert (await wire.queue(queue))["enqueued"] == 1


async def test_an_enqueue_sent_twice_at_once_is_one_job(wire: Wire, queue: str) -> None:
    for _ in range(20):
        body = {"queue": queue, "job_id": new_job_id()}
        responses = await asyncio.gather(*(wire.send("POST", "/enqueue", body) for _ in range(5)))
        assert sorted(response.status_code for response in responses) == [200] * 4 + [201]
    assert len(await wire.fetch_batch(queue, count=100)) == 20


async def test_a_batch_sent_again_is_the_same_batch(wire: Wire, queue: str) -> None:
    callbacks = new_name()
    body = {
        "jobs": [{"queue": queue, "payload": i, "job_id": new_job_id()} for i in range(5)],
        "batch": {"callback_queue": callbacks},
    }
    first = await wire.post("/enqueue/batch", body)
    again = await wire.post("/enqueue/batch", body)
    assert again["job_ids"] == first["job_ids"]
    assert again["batch_id"] == first["batch_id"]
    for job in await wire.fetch_batch(queue, count=10):
        await wire.ack(job)
    assert (await wire.post("/enqueue/batch", body))["batch_id"] == first["batch_id"]
    assert len(await wire.fetch_batch(callbacks, count=10)) == 1


async def test_a_repeated_ack_is_ok_and_keeps_the_first_result(wire: Wire, queue: str) -> None:
    await wire.enqueue(queue)
    leased = await wire.fetch(queue)
    await wire.ack(leased, result="first")
    await wire.ack(leased, result="second")
    job = await wire.job(leased["job_id"])
    assert job["result"] == "first"
    assert await wire.events_of(leased["job_id"]) == ["enqueued", "started", "completed"]
    answer = await wire.post(
        "/ack/batch",
        {"acks": [{"job_id": leased["job_id"], "lease_token": leased["lease_token"]}] * 2},
    )
    assert answer["acked"] == 2


async def test_a_repeated_fail_counts_once(wire: Wire, queue: str) -> None:
    job_id = await wire.enqueue(queue, max_retries=5, retry_base_delay="1h", retry_max_delay="1h")
    leased = await wire.fetch(queue)
    first = await wire.fail(leased, "once")
    assert await wire.fail(leased, "once") == first
    job = await wire.job(job_id)
    assert len(job["errors"]) == 1
    assert (await wire.queue(queue))["failed"] == 1


async def test_a_repeated_fail_does_not_touch_the_next_attempt(wire: Wire, queue: str) -> None:
    await wire.enqueue(queue, max_retries=5, retry_backoff="none")
    leased = await wire.fetch(queue)
    await wire.fail(leased)
    held = await wire.fetch(queue, timeout=20)
    body = {"error": "again", "lease_token": leased["lease_token"]}
    assert (await wire.refused(f"/fail/{held['job_id']}", body)).code == "LEASE_LOST"
    await wire.ack(held)


async def test_a_final_fail_can_be_repeated(wire: Wire, queue: str) -> None:
    await wire.enqueue(queue, max_retries=1)
    leased = await wire.fetch(queue)
    dead = {"status": "dead", "attempts_remaining": 0}
    assert await wire.fail(leased) == dead
    assert await wire.fail(leased) == dead
    assert len((await wire.job(leased["job_id"]))["errors"]) == 1


async def test_an_outcome_cannot_be_turned_into_its_opposite(wire: Wire, queue: str) -> None:
    await wire.enqueue(queue)
    leased = await wire.fetch(queue)
    await wire.ack(leased)
    body = {"error": "no", "lease_token": leased["lease_token"]}
    assert (await wire.refused(f"/fail/{leased['job_id']}", body)).code == "INVALID_STATE"
    assert await wire.state(leased["job_id"]) == "completed"
