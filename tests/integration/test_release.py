"""Giving a job back without its attempt being counted."""

from datetime import datetime

from support.wire import Wire


async def test_a_released_job_comes_again_with_the_same_attempt(wire: Wire, queue: str) -> None:
    job_id = await wire.enqueue(queue, max_retries=1)
    for _ in range(3):
        leased = await wire.fetch(queue)
        assert leased["attempt"] == 1
        assert await wire.release(leased) == {"status": "released"}
        assert await wire.state(job_id) == "pending"
    job = await wire.job(job_id)
    assert (job["attempt"], job["errors"], job["worker_id"]) == (0, [], None)
    assert (await wire.queue(queue))["failed"] == 0


async def test_a_job_released_for_later_waits(wire: Wire, queue: str) -> None:
    job_id = await wire.enqueue(queue)
    answer = await wire.release(await wire.fetch(queue), delay="300ms")
    assert answer["status"] == "released"
    again = await wire.fetch(queue, timeout=20)
    assert again["attempt"] == 1
    started_at = (await wire.job(job_id))["started_at"]
    assert datetime.fromisoformat(started_at) >= datetime.fromisoformat(answer["scheduled_at"])
    events = ["enqueued", "started", "released", "promoted", "started"]
    assert await wire.events_of(job_id) == events


async def test_a_released_job_keeps_its_place_in_the_line(wire: Wire, queue: str) -> None:
    first = await wire.enqueue(queue)
    await wire.enqueue(queue)
    await wire.release(await wire.fetch(queue))
    assert (await wire.fetch(queue))["job_id"] == first


async def test_many_are_released_together(wire: Wire, queue: str) -> None:
    for i in range(3):
        await wire.enqueue(queue, i)
    jobs = await wire.fetch_batch(queue, count=3)
    items = [{"job_id": job["job_id"], "lease_token": job["lease_token"]} for job in jobs]
    items[1]["lease_token"] = "stolen"
    items[2]["checkpoint"] = "half-way"
    answer = await wire.post("/release/batch", {"releases": items})
    assert answer["released"] == 2
    assert [r["status"] for r in answer["results"]] == ["released", "error", "released"]
    assert answer["results"][1]["code"] == "LEASE_LOST"
    again = await wire.fetch_batch(queue, count=3)
    assert [(job["payload"], job["checkpoint"]) for job in again] == [(0, None), (2, "half-way")]


async def test_only_an_active_job_can_be_released(wire: Wire, queue: str) -> None:
    job_id = await wire.enqueue(queue)
    assert (await wire.refused(f"/release/{job_id}", {})).code == "INVALID_STATE"
    leased = await wire.fetch(queue)
    await wire.release(leased)
    token = {"lease_token": leased["lease_token"]}
    assert (await wire.refused(f"/release/{job_id}", token)).code == "LEASE_LOST"
