"""Attempts that fail: retried after their backoff, or dead."""

from datetime import datetime

import pytest

from support.wire import Wire

TINY = {"retry_base_delay": "20ms", "retry_backoff": "fixed"}


async def test_a_failed_job_comes_again_by_itself(wire: Wire, queue: str) -> None:
    job_id = await wire.enqueue(queue, {"n": 1}, max_retries=3, **TINY)
    failed = await wire.fail(await wire.fetch(queue), "no route to host", backtrace="at line 1")
    assert failed["status"] == "retrying"
    assert failed["attempts_remaining"] == 2
    assert failed["next_attempt_at"] > (await wire.job(job_id))["failed_at"]

    again = await wire.fetch(queue, timeout=20)
    assert again["job_id"] == job_id
    assert again["attempt"] == 2
    assert again["payload"] == {"n": 1}
    job = await wire.job(job_id)
    assert [(e["attempt"], e["error"], e["backtrace"]) for e in job["errors"]] == [
        (1, "no route to host", "at line 1")
    ]
    await wire.ack(again)
    assert await wire.events_of(job_id) == [
        "enqueued",
        "started",
        "retrying",
        "promoted",
        "started",
        "completed",
    ]


async def test_a_retry_is_not_early(wire: Wire, queue: str) -> None:
    await wire.enqueue(queue, max_retries=2, retry_backoff="fixed", retry_base_delay="300ms")
    failed = await wire.fail(await wire.fetch(queue))
    again = await wire.fetch(queue, timeout=20, lease_duration=60)
    started = (await wire.job(again["job_id"]))["started_at"]
    assert started >= failed["next_attempt_at"]


async def test_a_job_without_attempts_left_is_dead(wire: Wire, queue: str) -> None:
    job_id = await wire.enqueue(queue, max_retries=2, **TINY)
    assert (await wire.fail(await wire.fetch(queue), "first"))["status"] == "retrying"
    last = await wire.fail(await wire.fetch(queue, timeout=20), "second")
    assert last == {"status": "dead", "attempts_remaining": 0}

    job = await wire.job(job_id)
    assert job["state"] == "dead"
    assert job["failed_at"] is not None
    assert job["completed_at"] is None
    assert [error["error"] for error in job["errors"]] == ["first", "second"]
    assert await wire.try_fetch(queue) is None
    assert (await wire.queue(queue))["dead"] == 1
    assert (await wire.queue(queue))["failed"] == 2


@pytest.mark.parametrize("max_retries", [0, 1])
async def test_a_job_of_one_attempt_dies_of_it(wire: Wire, queue: str, max_retries: int) -> None:
    await wire.enqueue(queue, max_retries=max_retries)
    assert (await wire.fail(await wire.fetch(queue)))["status"] == "dead"


async def test_a_failure_not_to_be_retried_is_final(wire: Wire, queue: str) -> None:
    job_id = await wire.enqueue(queue, max_retries=10)
    assert (await wire.fail(await wire.fetch(queue), retry=False))["status"] == "dead"
    assert await wire.state(job_id) == "dead"


async def test_a_dead_job_retried_by_hand_begins_anew(wire: Wire, queue: str) -> None:
    job_id = await wire.enqueue(queue, max_retries=1)
    await wire.fail(await wire.fetch(queue), "first life")
    assert await wire.post(f"/jobs/{job_id}/retry") == {"status": "retried"}

    again = await wire.fetch(queue)
    assert again["attempt"] == 1
    await wire.ack(again)
    job = await wire.job(job_id)
    assert job["state"] == "completed"
    assert [error["error"] for error in job["errors"]] == ["first life"]


@pytest.mark.parametrize(
    ("backoff", "expected"),
    [
        ("none", [0, 0, 0]),
        ("fixed", [60_000, 60_000, 60_000]),
        ("linear", [60_000, 120_000, 150_000]),
        ("exponential", [60_000, 120_000, 150_000]),
    ],
)
async def test_the_backoff_says_when_the_next_attempt_is_due(
    wire: Wire, queue: str, backoff: str, expected: list[int]
) -> None:
    """Up to a tenth is added at random; the maximum bounds what it is added to.

    None comes due by itself meanwhile, but for those that are to at once.
    """
    job_id = await wire.enqueue(
        queue,
        max_retries=4,
        retry_backoff=backoff,
        retry_base_delay="1m",
        retry_max_delay="150s",
    )
    for delay in expected:
        failed = await wire.fail(await wire.fetch(queue, timeout=20))
        due = datetime.fromisoformat(failed["next_attempt_at"])
        failed_at = datetime.fromisoformat((await wire.job(job_id))["failed_at"])
        waits = (due - failed_at).total_seconds() * 1000
        assert delay <= waits <= delay * 1.1
        if delay:
            await wire.post(f"/jobs/{job_id}/retry")  # now, instead of then
