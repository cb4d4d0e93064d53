"""Releasing a job, which does not count its attempt."""

from datetime import datetime

from support.api_client import ApiClient


async def test_a_released_job_is_fetched_again_with_the_same_attempt(
    api: ApiClient, queue: str
) -> None:
    job_id = await api.enqueue(queue, max_retries=1)
    for _ in range(3):
        leased = await api.fetch(queue)
        assert leased["attempt"] == 1
        assert await api.release(leased) == {"status": "released"}
        assert await api.state(job_id) == "pending"
    job = await api.job(job_id)
    assert (job["attempt"], job["errors"], job["worker_id"]) == (0, [], None)
    assert (await api.queue(queue))["failed"] == 0


async def test_a_job_released_with_a_delay_waits(api: ApiClient, queue: str) -> None:
    job_id = await api.enqueue(queue)
    answer = await api.release(await api.fetch(queue), delay="300ms")
    assert answer["status"] == "released"
    again = await api.fetch(queue, timeout=20)
    assert again["attempt"] == 1
    started_at = (await api.job(job_id))["started_at"]
    assert datetime.fromisoformat(started_at) >= datetime.fromisoformat(answer["scheduled_at"])
    events = ["enqueued", "started", "released", "promoted", "started"]
    assert await api.events_of(job_id) == events


async def test_a_released_job_keeps_its_place_in_the_order(api: ApiClient, queue: str) -> None:
    first = await api.enqueue(queue)
    await api.enqueue(queue)
    await api.release(await api.fetch(queue))
    assert (await api.fetch(queue))["job_id"] == first


async def test_many_are_released_together(api: ApiClient, queue: str) -> None:
    for i in range(3):
        await api.enqueue(queue, i)
    jobs = await api.fetch_batch(queue, count=3)
    items = [{"job_id": job["job_id"], "lease_token": job["lease_token"]} for job in jobs]
    items[1]["lease_token"] = "stolen"
    items[2]["checkpoint"] = "half-way"
    answer = await api.post("/release/batch", {"releases": items})
    assert answer["released"] == 2
    assert [r["status"] for r in answer["results"]] == ["released", "error", "released"]
    assert answer["results"][1]["code"] == "LEASE_LOST"
    again = await api.fetch_batch(queue, count=3)
    assert [(job["payload"], job["checkpoint"]) for job in again] == [(0, None), (2, "half-way")]


async def test_only_an_active_job_can_be_released(api: ApiClient, queue: str) -> None:
    job_id = await api.enqueue(queue)
    assert (await api.refused(f"/release/{job_id}", {})).code == "INVALID_STATE"
    leased = await api.fetch(queue)
    await api.release(leased)
    token = {"lease_token": leased["lease_token"]}
    assert (await api.refused(f"/release/{job_id}", token)).code == "LEASE_LOST"
