"""`corvo-worker` 0.3.0, written by others, against our server."""

import signal
import time
from collections import Counter
from typing import Any

import pytest

from compat.foreign import MakeSdk, Sdk, StartWorker
from server_support.waiting import wait_blocking
from support.server import CorvoServer


def counts(sdk: Sdk, queue: str) -> Counter[str]:
    """How many jobs of a queue are in each state."""
    return Counter(job["state"] for job in sdk.search({"queue": queue, "limit": 1000})["jobs"])


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"concurrency": 1, "fetch_batch_size": 10, "ack_batch_size": 10},
        {"concurrency": 3, "fetch_batch_size": 4},
    ],
)
def test_each_of_50_jobs_is_done_once(
    sdk: Sdk, start_worker: StartWorker, queue: str, config: dict[str, Any]
) -> None:
    job_ids = sdk.enqueue_batch([{"queue": queue, "payload": {}}] * 50)["job_ids"]
    worker = start_worker(queue, **config)
    wait_blocking(lambda: counts(sdk, queue) == {"completed": 50}, "all jobs are completed")
    assert sorted(worker.told("finished")) == job_ids
    assert {job["attempt"] for job in sdk.bulk_get_jobs(job_ids)} == {1}


def test_a_job_that_comes_wakes_the_worker(sdk: Sdk, start_worker: StartWorker, queue: str) -> None:
    worker = start_worker(queue, concurrency=2)
    job_ids = []
    for _ in range(5):
        job_ids.append(sdk.enqueue(queue, {})["job_id"])
        wait_blocking(lambda: worker.told("finished") == job_ids)


def test_a_failed_job_goes_on_from_its_checkpoint(
    sdk: Sdk, start_worker: StartWorker, queue: str
) -> None:
    worker = start_worker(queue, concurrency=2)
    job_id = sdk.enqueue(queue, {"fail_before": 3}, retry_backoff="none", tags={"t": "v"})["job_id"]
    wait_blocking(lambda: worker.told("finished") == [job_id])
    assert worker.starts(job_id) == [
        {"started": job_id, "attempt": attempt, "checkpoint": checkpoint, "tags": {"t": "v"}}
        for attempt, checkpoint in [(1, None), (2, {"tried": 1}), (3, {"tried": 2})]
    ]
    job = wait_blocking(lambda: (found := sdk.get_job(job_id))["state"] == "completed" and found)
    assert job["progress"] == {"current": 2, "total": 3, "message": "trying"}
    errors = [error["error"] for error in job["errors"]]
    assert errors == ["broke at attempt 1", "broke at attempt 2"]


def test_a_handler_is_told_of_a_cancel(sdk: Sdk, start_worker: StartWorker, queue: str) -> None:
    worker = start_worker(queue, concurrency=1)
    job_id = sdk.enqueue(queue, {"until_cancelled": True})["job_id"]
    wait_blocking(lambda: worker.told("started") == [job_id])
    assert sdk.cancel_job(job_id) == {"status": "cancelling"}
    wait_blocking(lambda: worker.told("cancelled") == [job_id])
    wait_blocking(lambda: counts(sdk, queue) == {"cancelled": 1})


def test_a_lease_is_kept_by_heartbeats(sdk: Sdk, start_worker: StartWorker, queue: str) -> None:
    worker = start_worker(queue, concurrency=1)
    job_id = sdk.enqueue(queue, {"sleep": 1})["job_id"]
    wait_blocking(lambda: worker.told("started") == [job_id])
    first = sdk.get_job(job_id)["lease_expires_at"]
    wait_blocking(lambda: sdk.get_job(job_id)["lease_expires_at"] > first)
    wait_blocking(lambda: counts(sdk, queue) == {"completed": 1})


def test_a_queue_without_handler_is_acked(sdk: Sdk, start_worker: StartWorker, queue: str) -> None:
    worker = start_worker(queue, handled=[])
    sdk.enqueue(queue, {})
    wait_blocking(lambda: counts(sdk, queue) == {"completed": 1})
    assert worker.told("started") == []


def test_a_stop_lets_the_job_at_hand_end(sdk: Sdk, start_worker: StartWorker, queue: str) -> None:
    worker = start_worker(queue, concurrency=2, client={"timeout": 1})
    job_id = sdk.enqueue(queue, {"sleep": 1})["job_id"]
    wait_blocking(lambda: worker.told("started") == [job_id])
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert worker.told("finished") == [job_id]
    assert counts(sdk, queue) == {"completed": 1}


def test_a_stop_without_patience_fails_the_job_at_hand(
    sdk: Sdk, start_worker: StartWorker, queue: str
) -> None:
    worker = start_worker(queue, concurrency=1, shutdown_timeout_s=0.2, client={"timeout": 1})
    job_id = sdk.enqueue(queue, {"sleep": 2}, retry_base_delay="1h", retry_max_delay="1h")["job_id"]
    wait_blocking(lambda: worker.told("started") == [job_id])
    worker.signal(signal.SIGTERM)
    job = wait_blocking(lambda: (found := sdk.get_job(job_id))["state"] == "retrying" and found)
    assert [error["error"] for error in job["errors"]] == ["worker_shutdown"]


def test_no_job_is_lost_when_fetches_are_cut_off(
    quick_server: CorvoServer, make_sdk: MakeSdk, start_worker: StartWorker, queue: str
) -> None:
    """Their client hangs up on a fetch once its own patience is at an end, again and again.

    When it does so while the answer is on its way, nobody can tell that it did not get the job:
    that one comes again when its lease ends.
    """
    sdk = make_sdk(base_url=quick_server.url)
    start_worker(queue, concurrency=5, client={"base_url": quick_server.url, "timeout": 0.5})
    for _ in range(40):
        sdk.enqueue(queue, {})
        time.sleep(0.1)  # so that jobs come at all moments of a fetch
    wait_blocking(lambda: counts(sdk, queue) == {"completed": 40}, "all jobs are completed")
