"""Cancelling: waiting jobs at once, active ones through their worker's heartbeat."""

import pytest

from support.wire import Wire


async def test_the_worker_of_a_cancelled_job_is_told_with_its_heartbeat(
    wire: Wire, queue: str
) -> None:
    job_id = await wire.enqueue(queue)
    leased = await wire.fetch(queue)
    assert await wire.heartbeat(leased) == {"status": "ok"}
    assert await wire.post(f"/jobs/{job_id}/cancel") == {"status": "cancelling"}
    assert (await wire.job(job_id))["cancel_requested"] is True
    assert await wire.state(job_id) == "active"
    assert await wire.heartbeat(leased) == {"status": "cancel", "reason": "cancelled"}

    assert (await wire.fail(leased, "stopped"))["status"] == "cancelled"
    assert await wire.state(job_id) == "cancelled"
    assert await wire.try_fetch(queue) is None
    assert await wire.events_of(job_id) == ["enqueued", "started", "cancel_requested", "cancelled"]


async def test_work_that_got_done_in_spite_of_a_cancel_is_completed(wire: Wire, queue: str) -> None:
    job_id = await wire.enqueue(queue)
    leased = await wire.fetch(queue)
    await wire.post(f"/jobs/{job_id}/cancel")
    await wire.ack(leased, result="done anyway")
    assert (await wire.job(job_id))["state"] == "completed"


async def test_a_cancelled_job_whose_worker_dies_is_not_run_again(wire: Wire, queue: str) -> None:
    job_id = await wire.enqueue(queue)
    await wire.fetch(queue, lease_duration=1)
    await wire.post(f"/jobs/{job_id}/cancel")
    await wire.see_state(job_id, "cancelled")
    assert await wire.try_fetch(queue) is None


async def test_a_released_job_with_a_cancel_requested_is_cancelled(wire: Wire, queue: str) -> None:
    job_id = await wire.enqueue(queue)
    leased = await wire.fetch(queue)
    await wire.post(f"/jobs/{job_id}/cancel")
    assert await wire.release(leased) == {"status": "cancelled"}
    assert await wire.state(job_id) == "cancelled"


@pytest.mark.parametrize("state", ["pending", "scheduled", "retrying"])
async def test_a_waiting_job_is_cancelled_at_once(wire: Wire, queue: str, state: str) -> None:
    later = {"scheduled_at": "2999-01-01T00:00:00Z"} if state == "scheduled" else {}
    job_id = await wire.enqueue(queue, retry_base_delay="1h", retry_max_delay="1h", **later)
    if state == "retrying":
        await wire.fail(await wire.fetch(queue))
    assert await wire.state(job_id) == state
    assert await wire.post(f"/jobs/{job_id}/cancel") == {"status": "cancelled"}
    job = await wire.job(job_id)
    assert job["state"] == "cancelled"
    assert job["completed_at"] is None
    assert await wire.try_fetch(queue) is None


async def test_what_has_ended_cannot_be_cancelled(wire: Wire, queue: str) -> None:
    job_id = await wire.enqueue(queue)
    await wire.ack(await wire.fetch(queue))
    refusal = await wire.refused(f"/jobs/{job_id}/cancel")
    assert (refusal.status, refusal.code) == (409, "INVALID_STATE")
    assert "completed" in refusal.error
    missing = await wire.refused("/jobs/job_01ARZ3NDEKTSV4RRFFQ69G5FAV/cancel")
    assert (missing.status, missing.code) == (404, "NOT_FOUND")
