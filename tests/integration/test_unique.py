"""Unique jobs: a queue has at most one unfinished job with a unique key."""

from server_support.waiting import wait_until
from support.api_client import ApiClient, new_name


async def test_a_second_job_of_the_key_is_a_duplicate_of_the_first(
    api: ApiClient, queue: str
) -> None:
    first = await api.enqueue(queue, 1, unique_key="invoice-7")
    body = {"queue": queue, "payload": 2, "unique_key": "invoice-7"}
    response = await api.send("POST", "/enqueue", body)
    assert response.status_code == 200
    assert response.json() == {"job_id": first, "status": "duplicate", "unique_existing": True}
    jobs = await api.fetch_batch(queue, count=10)
    assert [(job["job_id"], job["payload"]) for job in jobs] == [(first, 1)]


async def test_the_key_stays_taken_until_the_job_has_ended(api: ApiClient, queue: str) -> None:
    body = {"queue": queue, "unique_key": "k", "max_retries": 2, "retry_backoff": "none"}
    first = (await api.post("/enqueue", body))["job_id"]
    leased = await api.fetch(queue)
    assert (await api.post("/enqueue", body))["status"] == "duplicate"
    await api.fail(leased)
    assert (await api.post("/enqueue", body))["status"] == "duplicate"
    leased = await api.fetch(queue, timeout=20)
    assert leased["job_id"] == first
    await api.ack(leased)
    assert (await api.post("/enqueue", body))["status"] == "pending"


async def test_a_dead_and_a_cancelled_job_free_the_key(api: ApiClient, queue: str) -> None:
    body = {"queue": queue, "unique_key": "k", "max_retries": 1}
    await api.post("/enqueue", body)
    await api.fail(await api.fetch(queue))
    second = await api.post("/enqueue", body)
    assert second["status"] == "pending"
    await api.post(f"/jobs/{second['job_id']}/cancel")
    assert (await api.post("/enqueue", body))["status"] == "pending"


async def test_keys_of_different_queues_are_independent(api: ApiClient, queue: str) -> None:
    assert await api.enqueue(queue, unique_key="k") != await api.enqueue(new_name(), unique_key="k")


async def test_the_key_is_released_after_its_period(api: ApiClient, queue: str) -> None:
    first = await api.enqueue(queue, unique_key="k", unique_period="50ms")

    async def has_another() -> bool:
        again = await api.post("/enqueue", {"queue": queue, "unique_key": "k"})
        return bool(again["job_id"] != first)

    await wait_until(has_another)
    assert await api.state(first) == "pending"


async def test_duplicates_within_a_batch_are_reported_one_by_one(
    api: ApiClient, queue: str
) -> None:
    jobs = [{"queue": queue, "unique_key": key} for key in ("a", "b", "a")]
    answer = await api.post("/enqueue/batch", {"jobs": jobs})
    a, b, again = answer["job_ids"]
    assert a == again != b
    assert [r["unique_existing"] for r in answer["results"]] == [False, False, True]
    assert len(await api.fetch_batch(queue, count=10)) == 2


async def test_a_retry_that_would_use_a_taken_key_is_refused(api: ApiClient, queue: str) -> None:
    body = {"queue": queue, "unique_key": "k", "max_retries": 1}
    dead = (await api.post("/enqueue", body))["job_id"]
    await api.fail(await api.fetch(queue))
    holder = (await api.post("/enqueue", body))["job_id"]
    refusal = await api.refused(f"/jobs/{dead}/retry")
    assert (refusal.status, refusal.code) == (409, "INVALID_STATE")
    assert holder in refusal.error
    assert await api.state(dead) == "dead"
