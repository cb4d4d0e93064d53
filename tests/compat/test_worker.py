"""The third-party `corvo-worker` 0.3.0 against this server."""

import signal
import time
from collections import Counter
from typing import Any

import pytest

from compat.sdk_process import MakeSdk, Sdk, StartWorker
from server_support.waiting import wait_blocking
from support.server import CorvoServer


def counts(sdk: Sdk, queue: str) -> Counter[str]:
    """Return the number of a queue's jobs in each state."""
    return Counter(job["state"] for job in sdk.search({"queue": queue, "limit": 1000})["jobs"])


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"concurrency": 1, "fetch_batch_size": 10, "ack_batch_size": 10},
        {"concurrency": 3, "fetch_batch_size": 4},
    ],
)
def test_each_of_50_jobs_runs_once(
    sdk: Sdk, start_worker: StartWorker, queue: str, config: dict[str, Any]
) -> None:
    job_ids = sdk.enqueue_batch([{"queue": queue, "payload": {}}] * 50)["job_ids"]
    worker = start_worker(queue, **config)
    wait_blocking(lambda: counts(sdk, queue) == {"completed": 50}, "all jobs are completed")
    assert sorted(worker.jobs_that("finished")) == job_ids
    assert {job["attempt"] for job in sdk.bulk_get_jobs(job_ids)} == {1}


def test_an_enqueue_wakes_the_worker(sdk: Sdk, start_worker: StartWorker, queue: str) -> None:
    worker = start_worker(queue, concurrency=2)
    job_ids = []
    for _ in range(5):
        job_ids.append(sdk.enqueue(queue, {})["job_id"])
        wait_blocking(lambda: worker.jobs_that("finished") == job_ids)


def test_a_failed_job_continues_from_its_checkpoint(
    sdk: Sdk, start_worker: StartWorker, queue: str
) -> None:
    worker = start_worker(queue, concurrency=2)
    job_id = sdk.enqueue(queue, {"fail_before": 3}, retry_backoff="none", tags={"t": "v"})["job_id"]
    wait_blocking(lambda: worker.jobs_that("finished") == [job_id])
    assert worker.starts(job_id) == [
        {"started": job_id, "attempt": attempt, "checkpoint": checkpoint, "tags": {"t": "v"}}
        for attempt, checkpoint in [(1, None), (2, {"tried": 1}), (3, {"tried": 2})]
    ]
    job = wait_blocking(lambda: (found := sdk.get_job(job_id))["state"] == "completed" and found)
    assert job["progress"] == {"current": 2, "total": 3, "message": "trying"}
    errors = [error["error"] for error in job["errors"]]
    assert errors == ["broke at attempt 1", "broke at attempt 2"]


def test_a_handler_sees_a_cancel(sdk: Sdk, start_worker: StartWorker, queue: str) -> None:
    worker = start_worker(queue, concurrency=1)
    job_id = sdk.enqueue(queue, {"until_cancelled": True})["job_id"]
    wait_blocking(lambda: worker.jobs_that("started") == [job_id])
    assert sdk.cancel_job(job_id) == {"status": "cancelling"}
    wait_blocking(lambda: worker.jobs_that("cancelled") == [job_id])
    wait_blocking(lambda: counts(sdk, queue) == {"cancelled": 1})


def test_heartbeats_extend_a_lease(sdk: Sdk, start_worker: StartWorker, queue: str) -> None:
    worker = start_worker(queue, concurrency=1)
    job_id = sdk.enqueue(queue, {"sleep": 1})["job_id"]
    wait_blocking(lambda: worker.jobs_that("started") == [job_id])
    first = sdk.get_job(job_id)["lease_expires_at"]
    wait_blocking(lambda: sdk.get_job(job_id)["lease_expires_at"] > first)
    wait_blocking(lambda: counts(sdk, queue) == {"completed": 1})


def test_jobs_without_a_handler_are_acked(sdk: Sdk, start_worker: StartWorker, queue: str) -> None:
    worker = start_worker(queue, handled=[])
    sdk.enqueue(queue, {})
    wait_blocking(lambda: counts(sdk, queue) == {"completed": 1})
    assert worker.jobs_that("started") == []


def test_a_stop_waits_for_the_running_job(sdk: Sdk, start_worker: StartWorker, queue: str) -> None:
    worker = start_worker(queue, concurrency=2, client={"timeout": 1})
    job_id = sdk.enqueue(queue, {"sleep": 1})["job_id"]
    wait_blocking(lambda: worker.jobs_that("started") == [job_id])
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert worker.jobs_that("finished") == [job_id]
    assert counts(sdk, queue) == {"completed": 1}


def test_a_stop_without_a_grace_period_fails_the_running_job(
    sdk: Sdk, start_worker: StartWorker, queue: str
) -> None:
    worker = start_worker(queue, concurrency=1, shutdown_timeout_s=0.2, client={"timeout": 1})
    job_id = sdk.enqueue(queue, {"sleep": 2}, retry_base_delay="1h", retry_max_delay="1h")["job_id"]
    wait_blocking(lambda: worker.jobs_that("started") == [job_id])
    worker.signal(signal.SIGTERM)
    job = wait_blocking(lambda: (found := sdk.get_job(job_id))["state"] == "retrying" and found)
    assert [error["error"] for error in job["errors"]] == ["worker_shutdown"]


def test_no_job_is_lost_when_fetches_disconnect(
    quick_server: CorvoServer, make_sdk: MakeSdk, start_worker: StartWorker, queue: str
) -> None:
    """The client repeatedly disconnects from a fetch at its own timeout.

    If the response is already sent at that time, the job is lost until its lease expires.
    """
    sdk = make_sdk(base_url=quick_server.url)
    start_worker(queue, concurrency=5, client={"base_url": quick_server.url, "timeout": 0.5})
    for _ in range(40):
        sdk.enqueue(queue, {})
        time.sleep(0.1)  # so that jobs arrive at all times of a fetch
    wait_blocking(lambda: counts(sdk, queue) == {"completed": 40}, "all jobs are completed")
