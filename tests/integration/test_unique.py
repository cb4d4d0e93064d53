"""Unique jobs: one live job for a queue and a key."""

from support.waiting import wait_until
from support.wire import Wire, new_name


async def test_a_second_job_of_the_key_is_a_duplicate_of_the_first(wire: Wire, queue: str) -> None:
    first = await wire.enqueue(queue, 1, unique_key="invoice-7")
    body = {"queue": queue, "payload": 2, "unique_key": "invoice-7"}
    response = await wire.send("POST", "/enqueue", body)
    assert response.status_code == 200
    assert response.json() == {"job_id": first, "status": "duplicate", "unique_existing": True}
    jobs = await wire.fetch_batch(queue, count=10)
    assert [(job["job_id"], job["payload"]) for job in jobs] == [(first, 1)]


async def test_the_key_stays_taken_until_the_job_has_ended(wire: Wire, queue: str) -> None:
    body = {"queue": queue, "unique_key": "k", "max_retries": 2, "retry_backoff": "none"}
    first = (await wire.post("/enqueue", body))["job_id"]
    leased = await wire.fetch(queue)
    assert (await wire.post("/enqueue", body))["status"] == "duplicate"
    await wire.fail(leased)
    assert (await wire.post("/enqueue", body))["status"] == "duplicate"
    leased = await wire.fetch(queue, timeout=20)
    assert leased["job_id"] == first
    await wire.ack(leased)
    assert (await wire.post("/enqueue", body))["status"] == "pending"


async def test_a_dead_and_a_cancelled_job_free_the_key(wire: Wire, queue: str) -> None:
    body = {"queue": queue, "unique_key": "k", "max_retries": 1}
    await wire.post("/enqueue", body)
    await wire.fail(await wire.fetch(queue))
    second = await wire.post("/enqueue", body)
    assert second["status"] == "pending"
    await wire.post(f"/jobs/{second['job_id']}/cancel")
    assert (await wire.post("/enqueue", body))["status"] == "pending"


async def test_keys_of_different_queues_do_not_meet(wire: Wire, queue: str) -> None:
    assert await wire.enqueue(queue, unique_key="k") != await wire.enqueue(
        new_name(), unique_key="k"
    )


async def test_the_key_is_held_no_longer_than_its_period(wire: Wire, queue: str) -> None:
    first = await wire.enqueue(queue, unique_key="k", unique_period="50ms")

    async def has_another() -> bool:
        again = await wire.post("/enqueue", {"queue": queue, "unique_key": "k"})
        return bool(again["job_id"] != first)

    await wait_until(has_another)
    assert await wire.state(first) == "pending"


async def test_duplicates_within_a_batch_are_told_one_by_one(wire: Wire, queue: str) -> None:
    jobs = [{"queue": queue, "unique_key": key} for key in ("a", "b", "a")]
    answer = await wire.post("/enqueue/batch", {"jobs": jobs})
    a, b, again = answer["job_ids"]
    assert a == again != b
    assert [r["unique_existing"] for r in answer["results"]] == [False, False, True]
    assert len(await wire.fetch_batch(queue, count=10)) == 2


async def test_a_retry_that_would_make_two_live_jobs_is_refused(wire: Wire, queue: str) -> None:
    body = {"queue": queue, "unique_key": "k", "max_retries": 1}
    dead = (await wire.post("/enqueue", body))["job_id"]
    await wire.fail(await wire.fetch(queue))
    holder = (await wire.post("/enqueue", body))["job_id"]
    refusal = await wire.refused(f"/jobs/{dead}/retry")
    assert (refusal.status, refusal.code) == (409, "INVALID_STATE")
    assert holder in refusal.error
    assert await wire.state(dead) == "dead"
