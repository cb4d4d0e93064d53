"""The third-party `corvo-client` 0.3.0 against this server.

The client returns most responses unchanged, so programs depend on their fields.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from compat.sdk_process import MakeSdk, Raised, Sdk
from server_support.waiting import wait_blocking

WORKER = "worker-of-others"
NOBODY = "job_00000000000000000000000000"


def fetch(sdk: Sdk, queue: str) -> dict[str, Any]:
    """Fetch a job. Fail if there is none."""
    job: dict[str, Any] | None = sdk.fetch([queue], WORKER, timeout=0)
    assert job is not None
    return job


def started(sdk: Sdk, queue: str, **options: Any) -> str:
    """Enqueue and fetch a job. Return its id."""
    job_id: str = sdk.enqueue(queue, {}, **options)["job_id"]
    assert fetch(sdk, queue)["job_id"] == job_id
    return job_id


def state(sdk: Sdk, job_id: str) -> str:
    found: str = sdk.get_job(job_id)["state"]
    return found


def refused(sdk: Sdk, name: str, *args: Any, **kwargs: Any) -> Raised:
    """Call a method that must raise. Return the exception."""
    with pytest.raises(Raised) as caught:
        sdk.call(name, *args, **kwargs)
    return caught.value


def test_only_third_party_packages_are_importable(sdk: Sdk, sdks: Path) -> None:
    ours = ["corvo_schema", "corvo_server", "corvo_cli", "httpx", "sanic"]
    where = sdk.where("corvo_client", "corvo_worker", "requests", *ours)
    assert where == {
        "corvo_client": str(sdks / "corvo_client" / "__init__.py"),
        "corvo_worker": str(sdks / "corvo_worker" / "__init__.py"),
        "requests": str(sdks / "requests" / "__init__.py"),
        **dict.fromkeys(ours),
    }


def test_info_describes_the_server(sdk: Sdk) -> None:
    info = sdk.get_server_info()
    assert set(info) == {"server_version", "api_version"}
    assert info["api_version"] == "1"


# Enqueue


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"to": "a@example.com", "n": 2**70},
        [1, "zwei", None],
        "text",
        0,
        1.5,
        True,
        None,
        "é…😀",
    ],
)
def test_a_payload_is_returned_unchanged(sdk: Sdk, queue: str, payload: Any) -> None:
    enqueued = sdk.enqueue(queue, payload)
    job_id = enqueued["job_id"]
    assert enqueued == {"job_id": job_id, "status": "pending", "unique_existing": False}
    assert sdk.get_job(job_id)["payload"] == payload
    assert fetch(sdk, queue)["payload"] == payload


def test_every_option_of_an_enqueue_is_stored(sdk: Sdk, queue: str) -> None:
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
    enqueued = sdk.enqueue_with(
        queue=queue,
        payload={"a": 1},
        priority="critical",
        unique_key="k",
        unique_period=60,
        max_retries=7,
        scheduled_at=at.isoformat(),
        tags={"tenant": "acme"},
        expire_after="24h",
        retry_backoff="linear",
        retry_base_delay="10s",
        retry_max_delay="1h30m",
    )
    assert enqueued["status"] == "scheduled"
    job = sdk.get_job(enqueued["job_id"])
    expected = {
        "queue": queue,
        "state": "scheduled",
        "payload": {"a": 1},
        "priority": "critical",
        "priority_value": 0,
        "unique_key": "k",
        "attempt": 0,
        "max_retries": 7,
        "tags": {"tenant": "acme"},
        "retry_backoff": "linear",
        "retry_base_delay_ms": 10_000,
        "retry_max_delay_ms": 5_400_000,
        "scheduled_at": f"{at:%Y-%m-%dT%H:%M:%S}.000Z",
        "errors": [],
    }
    assert {name: job[name] for name in expected} == expected
    assert job["expire_at"] is not None


def test_the_second_enqueue_with_a_unique_key_names_the_first(sdk: Sdk, queue: str) -> None:
    first = sdk.enqueue(queue, {}, unique_key="k")
    assert sdk.enqueue(queue, {}, unique_key="k", unique_period=60) == {
        "job_id": first["job_id"],
        "status": "duplicate",
        "unique_existing": True,
    }


@pytest.mark.parametrize("at", ["2020-01-01T00:00:00Z", "2020-01-01T00:00:00.123456+00:00"])
def test_a_job_scheduled_in_the_past_is_pending(sdk: Sdk, queue: str, at: str) -> None:
    assert sdk.enqueue(queue, {}, scheduled_at=at)["status"] == "pending"


def test_the_callback_is_enqueued_after_the_last_job(sdk: Sdk, queue: str) -> None:
    back = f"{queue}-done"
    answer = sdk.enqueue_batch(
        [{"queue": queue, "payload": {"n": n}, "max_retries": 1} for n in range(3)],
        {"callback_queue": back, "callback_payload": {"report": 5}},
    )
    assert len(answer["job_ids"]) == 3
    done, failed, cancelled = answer["job_ids"]
    for _ in range(2):
        fetch(sdk, queue)
    sdk.ack(done)
    sdk.fail(failed, "it broke")
    assert sdk.fetch([back], WORKER, timeout=0) is None
    sdk.cancel_job(cancelled)
    assert fetch(sdk, back)["payload"] == {
        "batch_id": answer["batch_id"],
        "total": 3,
        "succeeded": 1,
        "failed": 1,
        "cancelled": 1,
        "payload": {"report": 5},
    }


def test_a_batch_without_a_callback_enqueues_jobs(sdk: Sdk, queue: str) -> None:
    answer = sdk.enqueue_batch([{"queue": queue, "payload": {}}, {"queue": queue, "payload": {}}])
    jobs = sdk.fetch_batch([queue], WORKER, timeout=0, count=10)["jobs"]
    assert [job["job_id"] for job in jobs] == answer["job_ids"]


# Fetch, ack, fail, heartbeat


def test_a_fetched_job_has_the_fields_for_a_handler(sdk: Sdk, queue: str) -> None:
    job_id = sdk.enqueue(queue, {"a": 1}, tags={"t": "v"}, max_retries=5)["job_id"]
    job = fetch(sdk, queue)
    expected = {
        "job_id": job_id,
        "queue": queue,
        "payload": {"a": 1},
        "attempt": 1,
        "max_retries": 5,
        "lease_duration": 60,
        "checkpoint": None,
        "tags": {"t": "v"},
    }
    assert {name: job[name] for name in expected} == expected
    stored = sdk.get_job(job_id)
    assert (stored["worker_id"], stored["hostname"]) == (WORKER, "corvo-worker")


def test_a_fetch_without_a_job_returns_none(sdk: Sdk, queue: str) -> None:
    assert sdk.fetch([queue], WORKER, timeout=0) is None
    assert sdk.fetch_batch([queue], WORKER, timeout=0) == {"jobs": []}


@pytest.mark.parametrize("method", ["fetch", "fetch_batch"])
def test_a_fetch_is_answered_before_the_timeout_of_the_client(
    make_sdk: MakeSdk, queue: str, method: str
) -> None:
    """The client's read timeout is equal to the wait of its fetch: 30 s."""
    sdk = make_sdk(timeout=5)
    assert not (sdk.call(method, [queue], WORKER, timeout=5) or {}).get("jobs")


def test_an_enqueue_wakes_a_waiting_fetch(sdk: Sdk, make_sdk: MakeSdk, queue: str) -> None:
    other = make_sdk()
    other.begin("fetch", [queue], WORKER)
    job_id = sdk.enqueue(queue, {})["job_id"]
    assert other.result()["job_id"] == job_id


def test_an_ack_completes_a_job(sdk: Sdk, queue: str) -> None:
    job_id = started(sdk, queue)
    assert sdk.ack(job_id) == {"status": "ok"}
    assert state(sdk, job_id) == "completed"


def test_an_ack_stores_a_result(sdk: Sdk, queue: str) -> None:
    job_id = started(sdk, queue)
    sdk.ack(job_id, {"result": {"rows": 5}})
    assert sdk.get_job(job_id)["result"] == {"rows": 5}


def test_a_batch_of_acks_counts_the_completed_jobs(sdk: Sdk, queue: str) -> None:
    job_ids = [started(sdk, queue) for _ in range(3)]
    acks = [{"job_id": job_id, "result": {}} for job_id in [*job_ids, NOBODY]]
    assert sdk.ack_batch(acks)["acked"] == 3
    assert [state(sdk, job_id) for job_id in job_ids] == ["completed"] * 3


def test_a_failed_job_is_retried_then_dead(sdk: Sdk, queue: str) -> None:
    job_id = started(sdk, queue, max_retries=2, retry_backoff="none")
    answer = sdk.fail(job_id, "first", "line 1\nline 2")
    assert (answer["status"], answer["attempts_remaining"]) == ("retrying", 1)
    assert wait_blocking(lambda: sdk.fetch([queue], WORKER, timeout=1))["attempt"] == 2
    answer = sdk.fail(job_id, "second")
    assert (answer["status"], answer["attempts_remaining"]) == ("dead", 0)
    job = sdk.get_job(job_id)
    assert job["state"] == "dead"
    assert [(error["attempt"], error["error"], error["backtrace"]) for error in job["errors"]] == [
        (1, "first", "line 1\nline 2"),
        (2, "second", ""),
    ]


def test_a_heartbeat_stores_checkpoint_and_progress(sdk: Sdk, queue: str) -> None:
    job_id = started(sdk, queue)
    assert sdk.heartbeat({job_id: {}}) == {"jobs": {job_id: {"status": "ok"}}}
    progress = {"current": 1, "total": 2, "message": "half"}
    sdk.heartbeat({job_id: {"progress": progress}})
    sdk.heartbeat({job_id: {"checkpoint": {"at": 5}}})
    job = sdk.get_job(job_id)
    assert (job["progress"], job["checkpoint"]) == (progress, {"at": 5})


def test_a_heartbeat_reports_a_cancel(sdk: Sdk, queue: str) -> None:
    job_id = started(sdk, queue)
    assert sdk.cancel_job(job_id) == {"status": "cancelling"}
    replies = sdk.heartbeat({job_id: {}, NOBODY: {}})["jobs"]
    assert replies == {
        job_id: {"status": "cancel", "reason": "cancelled"},
        NOBODY: {"status": "cancel", "reason": "not_found"},
    }
    assert sdk.fail(job_id, "cancelled")["status"] == "cancelled"


# Search and actions on jobs


def test_search_supports_filters_and_pages(sdk: Sdk, queue: str) -> None:
    job_ids = [
        sdk.enqueue(queue, {"n": n}, tags={"even": str(n % 2 == 0)})["job_id"] for n in range(5)
    ]
    page = sdk.search({"queue": queue, "state": ["pending"], "limit": 2, "order": "asc"})
    assert [job["id"] for job in page["jobs"]] == job_ids[:2]
    assert (page["total"], page["has_more"]) == (5, True)
    assert isinstance(page["duration_ms"], float)
    page = sdk.search(
        {
            "queue": queue,
            "state": ["pending"],
            "limit": 2,
            "order": "asc",
            "cursor": page["cursor"],
        }
    )
    assert [job["id"] for job in page["jobs"]] == job_ids[2:4]
    for filters in (
        {"tags": {"even": "True"}, "priority": "normal"},
        {"payload_jq": ".n == 0 or .n == 2 or .n == 4"},
    ):
        found = sdk.search({"queue": queue, **filters})
        assert {job["id"] for job in found["jobs"]} == set(job_ids[::2])
    assert sdk.search({"queue": queue, "payload_contains": '"n": 3'})["total"] == 1


def test_jobs_are_returned_in_the_order_of_the_ids(sdk: Sdk, queue: str) -> None:
    first, second = [sdk.enqueue(queue, {"n": n})["job_id"] for n in range(2)]
    jobs = sdk.bulk_get_jobs([second, NOBODY, first])
    assert [job["id"] for job in jobs] == [second, first]
    assert [job["payload"] for job in jobs] == [{"n": 1}, {"n": 0}]
    assert sdk.bulk_get_jobs([]) == []


def test_a_job_is_moved_cancelled_retried_and_deleted(sdk: Sdk, queue: str) -> None:
    job_id = sdk.enqueue(queue, {})["job_id"]
    assert sdk.move_job(job_id, f"{queue}-2") == {"status": "moved"}
    assert sdk.get_job(job_id)["queue"] == f"{queue}-2"
    assert sdk.cancel_job(job_id) == {"status": "cancelled"}
    assert sdk.retry_job(job_id) == {"status": "retried"}
    assert fetch(sdk, f"{queue}-2")["job_id"] == job_id
    sdk.ack(job_id)
    assert sdk.delete_job(job_id) == {"status": "deleted"}
    assert NOBODY.removesuffix("0") not in refused(sdk, "get_job", job_id).message


def test_many_jobs_are_changed_at_once(sdk: Sdk, queue: str) -> None:
    job_ids = [sdk.enqueue(queue, {})["job_id"] for _ in range(4)]
    done = sdk.bulk({"job_ids": [*job_ids[:2], NOBODY], "action": "cancel"})
    assert set(done) == {"affected", "errors", "duration_ms"}
    assert done["affected"] == 2
    moved = {"filter": {"queue": queue, "state": ["pending"]}, "action": "move"}
    assert sdk.bulk({**moved, "move_to_queue": f"{queue}-2"})["affected"] == 2
    raised = {"filter": {"queue": f"{queue}-2"}, "action": "change_priority", "priority": "high"}
    assert sdk.bulk(raised)["affected"] == 2
    assert {job["priority"] for job in sdk.bulk_get_jobs(job_ids[2:])} == {"high"}
    assert sdk.bulk({"job_ids": job_ids, "action": "delete"})["affected"] == 4
    assert sdk.search({"queue": queue})["total"] == 0


def test_many_jobs_are_changed_in_the_background(sdk: Sdk, queue: str) -> None:
    sdk.enqueue_batch([{"queue": queue, "payload": {}}] * 1500)
    accepted = sdk.bulk({"filter": {"queue": queue}, "action": "cancel", "async": True})
    bulk_id = accepted["bulk_operation_id"]
    assert accepted["estimated_total"] == 1500
    assert accepted["status"] in {"queued", "running"}
    assert accepted["progress_url"] == f"/api/v1/bulk/{bulk_id}/progress"

    def ended() -> Any:
        task = sdk.bulk_status(bulk_id)
        return task if task["status"] not in {"queued", "running"} else None

    task = wait_blocking(ended)
    expected = {
        "id": bulk_id,
        "status": "completed",
        "action": "cancel",
        "total": 1500,
        "processed": 1500,
        "affected": 1500,
        "errors": 0,
    }
    assert {name: task[name] for name in expected} == expected
    assert task["created_at"] <= task["updated_at"] <= task["finished_at"]
    assert sdk.search({"queue": queue, "state": ["cancelled"]})["total"] == 1500


# Events


def test_a_subscription_receives_events(sdk: Sdk, make_sdk: MakeSdk, queue: str) -> None:
    first = sdk.enqueue(queue, {})["job_id"]
    (enqueued,) = sdk.take(1, job_ids=[first], last_event_id=0)
    assert enqueued["type"] == enqueued["data"]["type"] == "enqueued"
    assert (enqueued["data"]["job_id"], enqueued["data"]["queue"]) == (first, queue)
    datetime.fromisoformat(enqueued["data"]["created_at"])

    subscriber = make_sdk()
    since = {"queues": [queue], "last_event_id": int(enqueued["id"])}
    subscriber.begin("take", 4, **since)
    sdk.ack(fetch(sdk, queue)["job_id"])
    second = sdk.enqueue(queue, {})["job_id"]
    sdk.cancel_job(second)
    events = [(event["type"], event["data"]["job_id"]) for event in subscriber.result()]
    assert events == [
        ("started", first),
        ("completed", first),
        ("enqueued", second),
        ("cancelled", second),
    ]


def test_a_subscription_starts_with_new_events(sdk: Sdk, make_sdk: MakeSdk, queue: str) -> None:
    old = sdk.enqueue(queue, {})["job_id"]
    subscriber = make_sdk()
    subscriber.begin("take", 1, queues=[queue])
    new = []

    def has_event() -> bool:
        new.append(sdk.enqueue(queue, {})["job_id"])
        return subscriber.has_answered

    wait_blocking(has_event)
    (event,) = subscriber.result()
    assert event["type"] == "enqueued"
    assert event["data"]["job_id"] in new
    assert event["data"]["job_id"] != old


def test_a_subscription_to_failures_receives_every_failed_attempt(sdk: Sdk, queue: str) -> None:
    job_id = started(sdk, queue, max_retries=2, retry_backoff="none")
    sdk.fail(job_id, "first")
    wait_blocking(lambda: sdk.fetch([queue], WORKER, timeout=1))
    sdk.fail(job_id, "second")
    events = sdk.take(2, queues=[queue], types=["failed"], last_event_id=0)
    assert [(event["type"], event["data"]["data"]["error"]) for event in events] == [
        ("retrying", "first"),
        ("dead", "second"),
    ]


@pytest.mark.parametrize("text", ["größe", "weiter …", "a\u2028b\u2029c\x85d", "😀", "\\ud83d"])
def test_text_of_any_language_reaches_a_subscription(sdk: Sdk, queue: str, text: str) -> None:
    """The client decodes the stream as Latin-1 and splits lines at every Unicode line break."""
    job_id = started(sdk, queue)
    sdk.fail(job_id, text)
    (event,) = sdk.take(1, job_ids=[job_id], types=["retrying"], last_event_id=0)
    assert event["data"]["data"]["error"] == text


# Refusals


def test_an_error_has_the_message_of_the_server(sdk: Sdk, queue: str) -> None:
    raised = refused(sdk, "get_job", NOBODY)
    assert (raised.kind, raised.message) == ("CorvoError", f"There is no job {NOBODY}.")
    raised = refused(sdk, "enqueue", "no such name", {})
    assert raised.kind == "CorvoError"
    assert raised.message.startswith("queue: must be ")
    job_id = started(sdk, queue)
    assert "active" in refused(sdk, "delete_job", job_id).message
    sdk.ack(job_id)
    assert "completed" in refused(sdk, "ack", job_id).message
    assert "completed" in refused(sdk, "cancel_job", job_id).message
    assert refused(sdk, "bulk_status", "bulk_1").kind == "CorvoError"


def test_a_payload_over_the_limit_has_its_own_exception(sdk: Sdk, queue: str) -> None:
    assert refused(sdk, "enqueue", queue, "x" * 300_000).kind == "PayloadTooLargeError"
    assert refused(sdk, "enqueue", queue, "x" * 9_000_000).kind == "PayloadTooLargeError"
    assert sdk.search({"queue": queue})["total"] == 0


@pytest.mark.parametrize(
    "options",
    [
        {"bearer_token": "secret"},
        {"api_key": "secret"},
        {"api_key": "secret", "api_key_header": "X-Key", "headers": {"X-Corvo-Namespace": "n"}},
    ],
)
def test_credentials_are_ignored_without_authentication(
    make_sdk: MakeSdk, queue: str, options: dict[str, Any]
) -> None:
    assert make_sdk(**options).enqueue(queue, {})["status"] == "pending"
