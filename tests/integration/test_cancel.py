"""Cancel: at once for waiting jobs, and by the worker's heartbeat for active jobs."""

import pytest

from support.api_client import ApiClient


async def test_a_heartbeat_reports_the_cancel_of_an_active_job(api: ApiClient, queue: str) -> None:
    job_id = await api.enqueue(queue)
    leased = await api.fetch(queue)
    assert await api.heartbeat(leased) == {"status": "ok"}
    assert await api.post(f"/jobs/{job_id}/cancel") == {"status": "cancelling"}
    assert (await api.job(job_id))["cancel_requested"] is True
    assert await api.state(job_id) == "active"
    assert await api.heartbeat(leased) == {"status": "cancel", "reason": "cancelled"}

    assert (await api.fail(leased, "stopped"))["status"] == "cancelled"
    assert await api.state(job_id) == "cancelled"
    assert await api.try_fetch(queue) is None
    assert await api.events_of(job_id) == ["enqueued", "started", "cancel_requested", "cancelled"]


async def test_a_job_that_is_acked_after_a_cancel_is_completed(api: ApiClient, queue: str) -> None:
    job_id = await api.enqueue(queue)
    leased = await api.fetch(queue)
    await api.post(f"/jobs/{job_id}/cancel")
    await api.ack(leased, result="done anyway")
    assert (await api.job(job_id))["state"] == "completed"


async def test_a_cancelled_job_is_not_retried_when_its_worker_dies(
    api: ApiClient, queue: str
) -> None:
    job_id = await api.enqueue(queue)
    await api.fetch(queue, lease_duration=1)
    await api.post(f"/jobs/{job_id}/cancel")
    await api.see_state(job_id, "cancelled")
    assert await api.try_fetch(queue) is None


async def test_a_released_job_with_a_cancel_requested_is_cancelled(
    api: ApiClient, queue: str
) -> None:
    job_id = await api.enqueue(queue)
    leased = await api.fetch(queue)
    await api.post(f"/jobs/{job_id}/cancel")
    assert await api.release(leased) == {"status": "cancelled"}
    assert await api.state(job_id) == "cancelled"


@pytest.mark.parametrize("state", ["pending", "scheduled", "retrying"])
async def test_a_waiting_job_is_cancelled_at_once(api: ApiClient, queue: str, state: str) -> None:
    later = {"scheduled_at": "2999-01-01T00:00:00Z"} if state == "scheduled" else {}
    job_id = await api.enqueue(queue, retry_base_delay="1h", retry_max_delay="1h", **later)
    if state == "retrying":
        await api.fail(await api.fetch(queue))
    assert await api.state(job_id) == state
    assert await api.post(f"/jobs/{job_id}/cancel") == {"status": "cancelled"}
    job = await api.job(job_id)
    assert job["state"] == "cancelled"
    assert job["completed_at"] is None
    assert await api.try_fetch(queue) is None


async def test_an_ended_job_cannot_be_cancelled(api: ApiClient, queue: str) -> None:
    job_id = await api.enqueue(queue)
    await api.ack(await api.fetch(queue))
    refusal = await api.refused(f"/jobs/{job_id}/cancel")
    assert (refusal.status, refusal.code) == (409, "INVALID_STATE")
    assert "completed" in refusal.error
    missing = await api.refused("/jobs/job_01ARZ3NDEKTSV4RRFFQ69G5FAV/cancel")
    assert (missing.status, missing.code) == (404, "NOT_FOUND")
