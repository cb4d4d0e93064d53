"""Leases: a job has at most one valid lease, and calls with an old lease change nothing."""

import asyncio
from datetime import datetime

import pytest

from support.api_client import ApiClient, Body, LeasedJob


async def lose_lease(api: ApiClient, queue: str) -> tuple[LeasedJob, LeasedJob]:
    """Let a lease expire. Return the job as its first worker and as the second fetched it."""
    await api.enqueue(queue, max_retries=5)
    lost = await api.fetch(queue, lease_duration=1, worker_id="first")
    current = await api.fetch(queue, timeout=20, lease_duration=60, worker_id="second")
    assert current["job_id"] == lost["job_id"]
    assert current["lease_token"] != lost["lease_token"]
    return lost, current


async def test_a_job_whose_lease_ends_goes_to_the_next_worker(api: ApiClient, queue: str) -> None:
    lost, current = await lose_lease(api, queue)
    assert current["attempt"] == 2
    job = await api.job(current["job_id"])
    assert job["worker_id"] == "second"
    (error,) = job["errors"]
    assert error["error"].startswith("lease expired: worker first ")
    assert job["started_at"] >= lost["lease_expires_at"]
    assert await api.events_of(job["id"]) == ["enqueued", "started", "reclaimed", "started"]


@pytest.mark.parametrize("verb", ["ack", "fail", "release"])
async def test_an_outcome_with_a_lost_lease_changes_nothing(
    api: ApiClient, queue: str, verb: str
) -> None:
    lost, current = await lose_lease(api, queue)
    before = await api.job(current["job_id"])
    body: Body = {"lease_token": lost["lease_token"]}
    if verb == "fail":
        body["error"] = "too late"
    refusal = await api.refused(f"/{verb}/{current['job_id']}", body)
    assert (refusal.status, refusal.code) == (409, "LEASE_LOST")
    assert await api.job(current["job_id"]) == before
    await api.ack(current)


async def test_a_heartbeat_with_a_lost_lease_changes_nothing(api: ApiClient, queue: str) -> None:
    lost, current = await lose_lease(api, queue)
    before = await api.job(current["job_id"])
    answer = await api.heartbeat(lost, checkpoint="mine", progress={"current": 1})
    assert answer == {"status": "cancel", "reason": "lease_lost"}
    assert await api.job(current["job_id"]) == before
    assert await api.heartbeat(current) == {"status": "ok"}


async def test_heartbeats_keep_a_lease_valid(api: ApiClient, queue: str) -> None:
    """The heartbeats last twice as long as the lease, while another worker waits for the job."""
    await api.enqueue(queue)
    leased = await api.fetch(queue, lease_duration=2)
    rival = asyncio.create_task(api.try_fetch(queue, timeout=4))
    while not rival.done():
        assert await api.heartbeat(leased) == {"status": "ok"}
        await asyncio.wait([rival], timeout=0.1)
    assert await rival is None
    await api.ack(leased)
    assert (await api.job(leased["job_id"]))["attempt"] == 1


async def test_a_heartbeat_extends_by_the_lease_of_the_job_itself(
    api: ApiClient, queue: str
) -> None:
    await api.enqueue(queue)
    leased = await api.fetch(queue, lease_duration=600)
    await api.heartbeat(leased)
    job = await api.job(leased["job_id"])
    extended = _seconds(job["lease_expires_at"]) - _seconds(leased["lease_expires_at"])
    assert 0 <= extended < 60
    assert _seconds(job["lease_expires_at"]) - _seconds(job["started_at"]) >= 600


async def test_a_job_that_kills_its_workers_becomes_dead(api: ApiClient, queue: str) -> None:
    job_id = await api.enqueue(queue, max_retries=2)
    await api.fetch(queue, lease_duration=1)
    await api.fetch(queue, lease_duration=1, timeout=20)
    job = await api.see_state(job_id, "dead")
    assert [error["attempt"] for error in job["errors"]] == [1, 2]
    assert all(error["error"].startswith("lease expired") for error in job["errors"])


async def test_one_of_many_fetches_gets_a_job(api: ApiClient, queue: str) -> None:
    fetches = [asyncio.create_task(api.try_fetch(queue, timeout=2)) for _ in range(10)]
    await api.see_waiting(10)
    job_id = await api.enqueue(queue)
    jobs = [job for job in await asyncio.gather(*fetches) if job is not None]
    assert [job["job_id"] for job in jobs] == [job_id]


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()
