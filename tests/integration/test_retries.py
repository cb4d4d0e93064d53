"""Failed attempts: the job is retried after its backoff, or becomes dead."""

from datetime import datetime

import pytest

from support.api_client import ApiClient

TINY = {"retry_base_delay": "20ms", "retry_backoff": "fixed"}


async def test_a_failed_job_is_retried_automatically(api: ApiClient, queue: str) -> None:
    job_id = await api.enqueue(queue, {"n": 1}, max_retries=3, **TINY)
    failed = await api.fail(await api.fetch(queue), "no route to host", backtrace="at line 1")
    assert failed["status"] == "retrying"
    assert failed["attempts_remaining"] == 2
    assert failed["next_attempt_at"] > (await api.job(job_id))["failed_at"]

    again = await api.fetch(queue, timeout=20)
    assert again["job_id"] == job_id
    assert again["attempt"] == 2
    assert again["payload"] == {"n": 1}
    job = await api.job(job_id)
    assert [(e["attempt"], e["error"], e["backtrace"]) for e in job["errors"]] == [
        (1, "no route to host", "at line 1")
    ]
    await api.ack(again)
    assert await api.events_of(job_id) == [
        "enqueued",
        "started",
        "retrying",
        "promoted",
        "started",
        "completed",
    ]


async def test_a_retry_is_not_early(api: ApiClient, queue: str) -> None:
    await api.enqueue(queue, max_retries=2, retry_backoff="fixed", retry_base_delay="300ms")
    failed = await api.fail(await api.fetch(queue))
    again = await api.fetch(queue, timeout=20, lease_duration=60)
    started = (await api.job(again["job_id"]))["started_at"]
    assert started >= failed["next_attempt_at"]


async def test_a_job_without_attempts_left_is_dead(api: ApiClient, queue: str) -> None:
    job_id = await api.enqueue(queue, max_retries=2, **TINY)
    assert (await api.fail(await api.fetch(queue), "first"))["status"] == "retrying"
    last = await api.fail(await api.fetch(queue, timeout=20), "second")
    assert last == {"status": "dead", "attempts_remaining": 0}

    job = await api.job(job_id)
    assert job["state"] == "dead"
    assert job["failed_at"] is not None
    assert job["completed_at"] is None
    assert [error["error"] for error in job["errors"]] == ["first", "second"]
    assert await api.try_fetch(queue) is None
    assert (await api.queue(queue))["dead"] == 1
    assert (await api.queue(queue))["failed"] == 2


@pytest.mark.parametrize("max_retries", [0, 1])
async def test_a_job_with_one_attempt_is_dead_after_a_failure(
    api: ApiClient, queue: str, max_retries: int
) -> None:
    await api.enqueue(queue, max_retries=max_retries)
    assert (await api.fail(await api.fetch(queue)))["status"] == "dead"


async def test_a_failure_without_retry_is_final(api: ApiClient, queue: str) -> None:
    job_id = await api.enqueue(queue, max_retries=10)
    assert (await api.fail(await api.fetch(queue), retry=False))["status"] == "dead"
    assert await api.state(job_id) == "dead"


async def test_a_manual_retry_resets_the_attempts(api: ApiClient, queue: str) -> None:
    job_id = await api.enqueue(queue, max_retries=1)
    await api.fail(await api.fetch(queue), "first life")
    assert await api.post(f"/jobs/{job_id}/retry") == {"status": "retried"}

    again = await api.fetch(queue)
    assert again["attempt"] == 1
    await api.ack(again)
    job = await api.job(job_id)
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
async def test_the_backoff_sets_the_time_of_the_next_attempt(
    api: ApiClient, queue: str, backoff: str, expected: list[int]
) -> None:
    """The server adds a random time of up to a tenth. The maximum applies before the addition."""
    job_id = await api.enqueue(
        queue,
        max_retries=4,
        retry_backoff=backoff,
        retry_base_delay="1m",
        retry_max_delay="150s",
    )
    for delay in expected:
        failed = await api.fail(await api.fetch(queue, timeout=20))
        due = datetime.fromisoformat(failed["next_attempt_at"])
        failed_at = datetime.fromisoformat((await api.job(job_id))["failed_at"])
        waits = (due - failed_at).total_seconds() * 1000
        assert delay <= waits <= delay * 1.1
        if delay:
            await api.post(f"/jobs/{job_id}/retry")  # now, not after the backoff
