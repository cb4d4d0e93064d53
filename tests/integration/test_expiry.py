"""Expiry of jobs."""

from typing import Any

import pytest

from server_support.waiting import wait_until
from support.api_client import ApiClient, LeasedJob

SOON = "200ms"


@pytest.mark.parametrize("state", ["pending", "scheduled"])
async def test_a_waiting_job_dies_at_its_expiry(api: ApiClient, queue: str, state: str) -> None:
    later = {"scheduled_at": "2999-01-01T00:00:00Z"} if state == "scheduled" else {}
    body = {"queue": queue, "expire_after": "150ms", **later}
    enqueued = await api.post("/enqueue", body)
    assert enqueued["status"] == state
    job = await api.see_state(enqueued["job_id"], "dead")
    assert [error["error"] for error in job["errors"]] == ["expired"]
    assert job["attempt"] == 0
    assert await api.events_of(job["id"]) == ["enqueued", "expired"]
    assert await api.try_fetch(queue) is None


async def test_an_expired_job_is_not_fetched_before_it_is_marked_dead(
    api: ApiClient, queue: str
) -> None:
    body = {"jobs": [{"queue": queue, "expire_after": "1ms"} for _ in range(50)]}
    answer = await api.post("/enqueue/batch", body)
    assert await api.fetch_batch(queue, count=50) == []
    for job_id in answer["job_ids"]:
        await api.see_state(job_id, "dead")


async def test_an_active_job_may_finish_after_its_expiry(api: ApiClient, queue: str) -> None:
    leased = await fetch_expiring(api, queue)
    await pass_expiry(api, leased["job_id"])
    assert await api.heartbeat(leased) == {"status": "ok"}
    await api.ack(leased)
    assert await api.state(leased["job_id"]) == "completed"


async def test_a_failure_after_the_expiry_is_final(api: ApiClient, queue: str) -> None:
    leased = await fetch_expiring(api, queue)
    await pass_expiry(api, leased["job_id"])
    assert (await api.fail(leased, "too slow"))["status"] == "dead"
    (error,) = (await api.job(leased["job_id"]))["errors"]
    assert error["error"] == "expired: too slow"


async def test_a_lease_that_ends_after_the_expiry_is_not_renewed(
    api: ApiClient, queue: str
) -> None:
    leased = await fetch_expiring(api, queue, lease_duration=1)
    job = await api.see_state(leased["job_id"], "dead", "pending")
    assert job["state"] == "dead"
    assert job["errors"][0]["error"].startswith("expired")


async def fetch_expiring(api: ApiClient, queue: str, **options: Any) -> LeasedJob:
    """Fetch a job that expires soon. Try again if a job expires before its fetch."""

    async def fetch() -> LeasedJob | None:
        await api.enqueue(queue, expire_after=SOON, max_retries=5)
        return await api.try_fetch(queue, **options)

    return await wait_until(fetch, "a job is fetched before its expiry")


async def pass_expiry(api: ApiClient, job_id: str) -> None:
    """Wait until another job, with the same expiry but enqueued later, has expired."""
    marker = await api.enqueue(f"marker-of-{job_id}", expire_after=SOON)
    await api.see_state(marker, "dead")
