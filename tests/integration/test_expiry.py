"""Jobs that were not finished in time."""

from typing import Any

import pytest

from support.waiting import wait_until
from support.wire import LeasedJob, Wire

SOON = "200ms"


@pytest.mark.parametrize("state", ["pending", "scheduled"])
async def test_a_waiting_job_dies_at_its_expiry(wire: Wire, queue: str, state: str) -> None:
    later = {"scheduled_at": "2999-01-01T00:00:00Z"} if state == "scheduled" else {}
    body = {"queue": queue, "expire_after": "150ms", **later}
    enqueued = await wire.post("/enqueue", body)
    assert enqueued["status"] == state
    job = await wire.see_state(enqueued["job_id"], "dead")
    assert [error["error"] for error in job["errors"]] == ["expired"]
    assert job["attempt"] == 0
    assert await wire.events_of(job["id"]) == ["enqueued", "expired"]
    assert await wire.try_fetch(queue) is None


async def test_an_expired_job_is_not_handed_out_though_nobody_has_ended_it_yet(
    wire: Wire, queue: str
) -> None:
    body = {"jobs": [{"queue": queue, "expire_after": "1ms"} for _ in range(50)]}
    answer = await wire.post("/enqueue/batch", body)
    assert await wire.fetch_batch(queue, count=50) == []
    for job_id in answer["job_ids"]:
        await wire.see_state(job_id, "dead")


async def test_an_active_job_may_finish_after_its_expiry(wire: Wire, queue: str) -> None:
    leased = await hold_expiring(wire, queue)
    await pass_expiry(wire, leased["job_id"])
    assert await wire.heartbeat(leased) == {"status": "ok"}
    await wire.ack(leased)
    assert await wire.state(leased["job_id"]) == "completed"


async def test_a_failure_after_the_expiry_is_final(wire: Wire, queue: str) -> None:
    leased = await hold_expiring(wire, queue)
    await pass_expiry(wire, leased["job_id"])
    assert (await wire.fail(leased, "too slow"))["status"] == "dead"
    (error,) = (await wire.job(leased["job_id"]))["errors"]
    assert error["error"] == "expired: too slow"


async def test_a_lease_that_ends_after_the_expiry_is_not_renewed(wire: Wire, queue: str) -> None:
    leased = await hold_expiring(wire, queue, lease_duration=1)
    job = await wire.see_state(leased["job_id"], "dead", "pending")
    assert job["state"] == "dead"
    assert job["errors"][0]["error"].startswith("expired")


async def hold_expiring(wire: Wire, queue: str, **options: Any) -> LeasedJob:
    """Fetch a job that expires soon; one that does so before it is fetched is for the next try."""

    async def hold() -> LeasedJob | None:
        await wire.enqueue(queue, expire_after=SOON, max_retries=5)
        return await wire.try_fetch(queue, **options)

    return await wait_until(hold, "a job is fetched before its expiry")


async def pass_expiry(wire: Wire, job_id: str) -> None:
    """Wait until an expiry of the same length that began later has passed."""
    marker = await wire.enqueue(f"marker-of-{job_id}", expire_after=SOON)
    await wire.see_state(marker, "dead")
