# Generated from tests/_async/test_async_methods.py by scripts/gen_sync.py. Do not edit.
"""A table of all client methods with their requests and replies."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from corvo_client import (
    AckItem,
    BulkAction,
    Client,
    EnqueueRequest,
    FailItem,
    FetchedJob,
    HeartbeatJob,
    JobState,
    Progress,
    ReleaseItem,
    SearchFilter,
)

JOB_ID = "job_01ARZ3NDEKTSV4RRFFQ69G5FAV"
NOW = "2026-01-31T08:00:00.000Z"
JOB = {"id": JOB_ID, "queue": "q", "state": "dead", "created_at": NOW}
FETCHED = {
    "job_id": JOB_ID,
    "queue": "q",
    "payload": {"n": 1},
    "attempt": 1,
    "max_retries": 3,
    "lease_duration": 60,
    "checkpoint": None,
    "tags": {},
    "lease_token": "token",
}
OPERATION = {
    "id": "bulk_1",
    "status": "running",
    "action": "retry",
    "total": 3,
    "processed": 1,
    "created_at": NOW,
}
SCHEDULE = {"id": "sched_1", "name": "nightly", "queue": "q", "cron": "@daily", "next_run": NOW}
held = FetchedJob.model_validate(FETCHED)


CASES: list[tuple[str, Callable[[Client], Any], str, Any, Any]] = [
    (
        "enqueue_request",
        lambda c: c.enqueue_request(EnqueueRequest(queue="q", payload=None, job_id=JOB_ID)),
        "POST /api/v1/enqueue",
        {"queue": "q", "payload": None, "job_id": JOB_ID},
        {"job_id": JOB_ID, "status": "pending", "unique_existing": False},
    ),
    ("get_job", lambda c: c.get_job(JOB_ID), f"GET /api/v1/jobs/{JOB_ID}", None, JOB),
    (
        "bulk_get",
        lambda c: c.bulk_get([JOB_ID]),
        "POST /api/v1/jobs/bulk-get",
        {"job_ids": [JOB_ID]},
        {"jobs": [JOB]},
    ),
    (
        "cancel_job",
        lambda c: c.cancel_job(JOB_ID),
        f"POST /api/v1/jobs/{JOB_ID}/cancel",
        None,
        {"status": "cancelling"},
    ),
    (
        "retry_job",
        lambda c: c.retry_job(JOB_ID),
        f"POST /api/v1/jobs/{JOB_ID}/retry",
        None,
        {"status": "retried"},
    ),
    (
        "get_batch",
        lambda c: c.get_batch("batch_1"),
        "GET /api/v1/batches/batch_1",
        None,
        {"id": "batch_1", "state": "running", "total": 2},
    ),
    (
        "list_batches",
        lambda c: c.list_batches("running", limit=2, cursor="batch_2"),
        "GET /api/v1/batches?state=running&limit=2&cursor=batch_2",
        None,
        {"batches": [{"id": "batch_1", "state": "running", "total": 2}], "has_more": False},
    ),
    (
        "fetch_batch",
        lambda c: c.fetch_batch(["q"], worker_id="w", count=2, hostname="h", lease_duration=90),
        "POST /api/v1/fetch/batch",
        {
            "queues": ["q"],
            "worker_id": "w",
            "count": 2,
            "hostname": "h",
            "timeout": 30,
            "lease_duration": 90,
            "fenced": True,
        },
        {"jobs": [FETCHED]},
    ),
    (
        "ack_batch",
        lambda c: c.ack_batch([AckItem(job_id=JOB_ID, lease_token="t", result=[1])]),
        "POST /api/v1/ack/batch",
        {"acks": [{"job_id": JOB_ID, "lease_token": "t", "result": [1]}]},
        {"acked": 1, "results": [{"job_id": JOB_ID, "status": "ok"}]},
    ),
    (
        "fail",
        lambda c: c.fail(held, "boom", backtrace="b", retry=False, cancel=True),
        f"POST /api/v1/fail/{JOB_ID}",
        {
            "error": "boom",
            "backtrace": "b",
            "retry": False,
            "cancel": True,
            "lease_token": "token",
        },
        {"status": "retrying", "next_attempt_at": NOW, "attempts_remaining": 2},
    ),
    (
        "fail_batch",
        lambda c: c.fail_batch([FailItem(job_id=JOB_ID, error="boom")]),
        "POST /api/v1/fail/batch",
        {"fails": [{"job_id": JOB_ID, "error": "boom"}]},
        {"failed": 1, "results": [{"job_id": JOB_ID, "status": "dead"}]},
    ),
    (
        "release",
        lambda c: c.release(held, delay=90, checkpoint={"page": 3}),
        f"POST /api/v1/release/{JOB_ID}",
        {"delay": "1m30s", "checkpoint": {"page": 3}, "lease_token": "token"},
        {"status": "released", "scheduled_at": NOW},
    ),
    (
        "release_batch",
        lambda c: c.release_batch([ReleaseItem(job_id=JOB_ID), ReleaseItem(job_id="x")]),
        "POST /api/v1/release/batch",
        {"releases": [{"job_id": JOB_ID}, {"job_id": "x"}]},
        {"released": 0, "results": []},
    ),
    (
        "heartbeat",
        lambda c: c.heartbeat(
            {
                JOB_ID: HeartbeatJob(lease_token="t", progress=Progress(current=1, total=2)),
                "job_x": HeartbeatJob(checkpoint={"page": None}),
            },
            worker_id="w",
        ),
        "POST /api/v1/heartbeat",
        {
            "worker_id": "w",
            "jobs": {
                JOB_ID: {"lease_token": "t", "progress": {"current": 1, "total": 2}},
                "job_x": {"checkpoint": {"page": None}},
            },
        },
        {"jobs": {JOB_ID: {"status": "cancel", "reason": "lease_lost"}}},
    ),
    (
        "heartbeat without a worker",
        lambda c: c.heartbeat({}),
        "POST /api/v1/heartbeat",
        {"jobs": {}},
        {"jobs": {}},
    ),
    ("list_queues", lambda c: c.list_queues(), "GET /api/v1/queues", None, [{"name": "q"}]),
    (
        "get_queue",
        lambda c: c.get_queue("a/b c"),
        "GET /api/v1/queues/a%2Fb%20c",
        None,
        {"name": "a/b c"},
    ),
    (
        "set_queue_defaults",
        lambda c: c.set_queue_defaults(
            "q",
            priority="high",
            max_retries=5,
            retry_base_delay=timedelta(seconds=2),
            expire_after=None,
            tags={"a": "b"},
            payload_schema={"type": "object"},
        ),
        "PUT /api/v1/queues/q/defaults",
        {
            "priority": "high",
            "max_retries": 5,
            "retry_base_delay": "2s",
            "tags": {"a": "b"},
            "payload_schema": {"type": "object"},
        },
        {"status": "ok"},
    ),
    (
        "clear_queue_defaults",
        lambda c: c.clear_queue_defaults("q"),
        "DELETE /api/v1/queues/q/defaults",
        None,
        {"status": "ok"},
    ),
    (
        "pause_queue",
        lambda c: c.pause_queue(".."),
        "POST /api/v1/queues/%2E%2E/pause",
        None,
        {"status": "paused"},
    ),
    (
        "resume_queue",
        lambda c: c.resume_queue("q"),
        "POST /api/v1/queues/q/resume",
        None,
        {"status": "resumed"},
    ),
    (
        "info",
        lambda c: c.info(),
        "GET /api/v1/info",
        None,
        {"server_version": "1.0.0", "api_version": "v1"},
    ),
    (
        "search",
        lambda c: c.search(
            queue="q",
            state="dead",
            tags={"k": "v"},
            created_after=datetime(2026, 1, 31, 8, tzinfo=UTC),
            has_errors=None,
            sort="attempt",
            order="asc",
            limit=2,
            cursor="c",
        ),
        "POST /api/v1/jobs/search",
        {
            "queue": "q",
            "state": ["dead"],
            "tags": {"k": "v"},
            "created_after": NOW,
            "sort": "attempt",
            "order": "asc",
            "limit": 2,
            "cursor": "c",
        },
        {"jobs": [JOB], "total": 7, "cursor": "d", "has_more": True},
    ),
    (
        "bulk by ids",
        lambda c: c.bulk("move", job_ids=iter([JOB_ID]), move_to_queue="r"),
        "POST /api/v1/jobs/bulk",
        {"action": "move", "job_ids": [JOB_ID], "move_to_queue": "r"},
        {"affected": 1, "errors": 0, "duration_ms": 1.5},
    ),
    (
        "bulk by filters",
        lambda c: c.bulk(
            "change_priority", filters={"state": ("pending", "retrying")}, priority="high"
        ),
        "POST /api/v1/jobs/bulk",
        {
            "action": "change_priority",
            "filter": {"state": ["pending", "retrying"]},
            "priority": "high",
        },
        {"affected": 1, "errors": 2, "duration_ms": 1.5},
    ),
    (
        "bulk retry by ids",
        lambda c: c.bulk("retry", job_ids=[JOB_ID]),
        "POST /api/v1/jobs/bulk",
        {"action": "retry", "job_ids": [JOB_ID], "states": ["cancelled", "dead"]},
        {"affected": 1, "errors": 2, "duration_ms": 1.5},
    ),
    (
        "bulk retry by ids and states",
        lambda c: c.bulk(BulkAction.RETRY, job_ids=[JOB_ID], states="completed"),
        "POST /api/v1/jobs/bulk",
        {"action": "retry", "job_ids": [JOB_ID], "states": ["completed"]},
        {"affected": 1, "errors": 2, "duration_ms": 1.5},
    ),
    (
        "bulk retry by filters and states",
        lambda c: c.bulk("retry", filters={"state": JobState.COMPLETED, "error_contains": "x"}),
        "POST /api/v1/jobs/bulk",
        {
            "action": "retry",
            "filter": {"state": ["completed"], "error_contains": "x", "error_scope": "last"},
        },
        {"affected": 1, "errors": 2, "duration_ms": 1.5},
    ),
    (
        "bulk by a checked filter",
        lambda c: c.bulk("retry", filters=SearchFilter(queue="q")),
        "POST /api/v1/jobs/bulk",
        {"action": "retry", "filter": {"queue": "q", "state": ["cancelled", "dead"]}},
        {"affected": 0, "errors": 0, "duration_ms": 1.5},
    ),
    ("list_bulk", lambda c: c.list_bulk(), "GET /api/v1/bulk", None, [OPERATION]),
    ("get_bulk", lambda c: c.get_bulk("bulk_1"), "GET /api/v1/bulk/bulk_1", None, OPERATION),
    (
        "cancel_bulk",
        lambda c: c.cancel_bulk("bulk_1"),
        "POST /api/v1/bulk/bulk_1/cancel",
        None,
        OPERATION,
    ),
    (
        "status of a bulk operation",
        lambda c: c.bulk_handle("bulk_1").status(),
        "GET /api/v1/bulk/bulk_1",
        None,
        OPERATION,
    ),
    (
        "cancel of a bulk operation",
        lambda c: c.bulk_handle("bulk_1").cancel(),
        "POST /api/v1/bulk/bulk_1/cancel",
        None,
        OPERATION,
    ),
    (
        "put_schedule",
        lambda c: c.put_schedule(
            "nightly",
            queue="q",
            cron="0 3 * * *",
            payload={"n": 1},
            timezone="Europe/Berlin",
            misfire="skip",
            unique_period=60,
            max_retries=None,
            tags={"k": "v"},
        ),
        "POST /api/v1/schedules",
        {
            "name": "nightly",
            "queue": "q",
            "cron": "0 3 * * *",
            "payload": {"n": 1},
            "timezone": "Europe/Berlin",
            "misfire": "skip",
            "unique_period": 60,
            "tags": {"k": "v"},
        },
        SCHEDULE,
    ),
    (
        "replace_schedule",
        lambda c: c.replace_schedule("nightly", "daily", queue="q", cron="@daily"),
        "PUT /api/v1/schedules/nightly",
        {"name": "daily", "queue": "q", "cron": "@daily"},
        SCHEDULE,
    ),
    ("list_schedules", lambda c: c.list_schedules(), "GET /api/v1/schedules", None, [SCHEDULE]),
    (
        "get_schedule",
        lambda c: c.get_schedule("a/b"),
        "GET /api/v1/schedules/a%2Fb?upcoming=5",
        None,
        SCHEDULE,
    ),
    (
        "delete_schedule",
        lambda c: c.delete_schedule("nightly"),
        "DELETE /api/v1/schedules/nightly",
        None,
        {"status": "deleted"},
    ),
    (
        "pause_schedule",
        lambda c: c.pause_schedule("nightly"),
        "POST /api/v1/schedules/nightly/pause",
        None,
        {"status": "paused"},
    ),
    (
        "resume_schedule",
        lambda c: c.resume_schedule("nightly"),
        "POST /api/v1/schedules/nightly/resume",
        None,
        {"status": "resumed"},
    ),
    (
        "run_schedule",
        lambda c: c.run_schedule("nightly"),
        "POST /api/v1/schedules/nightly/run",
        None,
        {"status": "enqueued", "job_id": JOB_ID},
    ),
    ("healthz", lambda c: c.healthz(), "GET /healthz", None, {"status": "ok"}),
    ("readyz", lambda c: c.readyz(), "GET /readyz", None, {"status": "ok"}),
]


def plain(value: Any) -> Any:
    """Return the JSON of a reply with the fields that are set."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.model_dump(mode="json", exclude_unset=True)


@pytest.fixture
def client(server: Any) -> Iterator[Client]:
    with Client(transport=httpx.MockTransport(server)) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "line", "sent", "reply"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_method_sends_a_call_and_reads_the_reply(
    client: Client,
    server: Any,
    method: Callable[[Client], Any],
    line: str,
    sent: Any,
    reply: Any,
) -> None:
    server.answer(200, reply)
    result = method(client)
    assert server.lines == [line]
    assert server.bodies == [sent]
    wrapped = reply["jobs"] if isinstance(reply, dict) and isinstance(result, list) else reply
    assert plain(result) == wrapped
