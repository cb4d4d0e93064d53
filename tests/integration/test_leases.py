"""Leases: one live one for a job, and a worker that lost its own can do nothing any more."""

import asyncio
from datetime import datetime

import pytest

from support.api_client import ApiClient, Body, LeasedJob


async def lose(api: ApiClient, queue: str) -> tuple[LeasedJob, LeasedJob]:
    """A job as its first worker got it, and as the second did when the first said nothing."""
    await api.enqueue(queue, max_retries=5)
    lost = await api.fetch(queue, lease_duration=1, worker_id="first")
    held = await api.fetch(queue, timeout=20, lease_duration=60, worker_id="second")
    assert held["job_id"] == lost["job_id"]
    assert held["lease_token"] != lost["lease_token"]
    return lost, held


async def test_a_job_whose_lease_ends_goes_to_the_next_worker(api: ApiClient, queue: str) -> None:
    lost, held = await lose(api, queue)
    assert held["attempt"] == 2
    job = await api.job(held["job_id"])
    assert job["worker_id"] == "second"
    (error,) = job["errors"]
    assert error["error"].startswith("lease expired: worker first ")
    assert job["started_at"] >= lost["lease_expires_at"]
    assert await api.events_of(job["id"]) == ["enqueued", "started", "reclaimed", "started"]


@pytest.mark.parametrize("verb", ["ack", "fail", "release"])
async def test_an_outcome_with_a_lost_lease_changes_nothing(
    api: ApiClient, queue: str, verb: str
) -> None:
    lost, held = await lose(api, queue)
    before = await api.job(held["job_id"])
    body: Body = {"lease_token": lost["lease_token"]}
    if verb == "fail":
        body["error"] = "too late"
    refusal = await api.refused(f"/{verb}/{held['job_id']}", body)
    assert (refusal.status, refusal.code) == (409, "LEASE_LOST")
    assert await api.job(held["job_id"]) == before
    await api.ack(held)


async def test_a_heartbeat_with_a_lost_lease_changes_nothing(api: ApiClient, queue: str) -> None:
    lost, held = await lose(api, queue)
    before = await api.job(held["job_id"])
    answer = await api.heartbeat(lost, checkpoint="mine", progress={"current": 1})
    assert answer == {"status": "cancel", "reason": "lease_lost"}
    assert await api.job(held["job_id"]) == before
    assert await api.heartbeat(held) == {"status": "ok"}


async def test_a_job_lives_as_long_as_its_heartbeats(api: ApiClient, queue: str) -> None:
    """Twice as long as its lease, with another worker waiting for it all the while."""
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


async def test_a_job_that_kills_its_workers_dies_in_the_end(api: ApiClient, queue: str) -> None:
    job_id = await api.enqueue(queue, max_retries=2)
    await api.fetch(queue, lease_duration=1)
    await api.fetch(queue, lease_duration=1, timeout=20)
    job = await api.see_state(job_id, "dead")
    assert [error["attempt"] for error in job["errors"]] == [1, 2]
    assert all(error["error"].startswith("lease expired") for error in job["errors"])


async def test_a_job_is_handed_to_one_of_many_fetches(api: ApiClient, queue: str) -> None:
    fetches = [asyncio.create_task(api.try_fetch(queue, timeout=2)) for _ in range(10)]
    await api.see_waiting(10)
    job_id = await api.enqueue(queue)
    jobs = [job for job in await asyncio.gather(*fetches) if job is not None]
    assert [job["job_id"] for job in jobs] == [job_id]


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()
