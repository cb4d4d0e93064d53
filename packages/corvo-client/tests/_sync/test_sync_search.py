# Generated from tests/_async/test_async_search.py by scripts/gen_sync.py. Do not edit.
"""Search by pages, and bulk operations."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from corvo_client import (
    BadReply,
    BulkStopped,
    Client,
    NotFound,
    ValidationFailed,
    calls,
)

NOW = "2026-01-31T08:00:00.000Z"
ACCEPTED = {
    "bulk_operation_id": "bulk_1",
    "status": "queued",
    "estimated_total": 3,
    "progress_url": "/api/v1/bulk/bulk_1/progress",
}


def job(number: int) -> dict[str, Any]:
    return {"id": f"job_{number}", "queue": "q", "state": "dead", "created_at": NOW}


def operation(status: str, processed: int = 3, **more: Any) -> dict[str, Any]:
    return {
        "id": "bulk_1",
        "status": status,
        "action": "retry",
        "total": 3,
        "processed": processed,
        "affected": processed,
        "created_at": NOW,
        **more,
    }


def messages(*data: Any) -> bytes:
    return b"".join(b"event: progress\ndata: %b\n\n" % json.dumps(d).encode() for d in data)


@pytest.fixture
def client(server: Any) -> Iterator[Client]:
    with Client(transport=httpx.MockTransport(server)) as client:
        yield client


def test_search_all_follows_the_cursor_to_the_end(client: Client, server: Any) -> None:
    server.answer(
        200,
        {
            "jobs": [job(1), job(2)],
            "total": 3,
            "total_is_exact": False,
            "cursor": "c",
            "has_more": True,
        },
    )
    server.answer(200, {"jobs": [job(3)], "total": 3})
    found = [job for job in client.search_all(queue="q", page_size=2, order="asc")]
    assert [job.id for job in found] == ["job_1", "job_2", "job_3"]
    asked = {"queue": "q", "sort": "created_at", "order": "asc", "limit": 2}
    assert server.bodies == [asked, {**asked, "cursor": "c"}]


def test_search_rejects_unknown_filters(client: Client, server: Any) -> None:
    with pytest.raises(ValidationFailed, match="quque"):
        client.search(quque="q")  # type: ignore[call-arg]
    with pytest.raises(ValidationFailed, match="limit"):
        client.search(limit=1001)
    with pytest.raises(ValidationFailed, match="state"):
        client.search(state="ded")  # type: ignore[arg-type]
    with pytest.raises(ValidationFailed, match="state: Input should be a valid list"):
        client.search(state=5)  # type: ignore[arg-type]
    assert server.requests == []


def test_bulk_rejects_invalid_arguments(client: Client, server: Any) -> None:
    with pytest.raises(ValidationFailed, match="give exactly one of job_ids and filter"):
        client.bulk("retry")
    with pytest.raises(ValidationFailed, match="move requires move_to_queue"):
        client.bulk("move", filters={})
    assert server.requests == []


def test_bulk_waits_for_an_operation_in_the_background(client: Client, server: Any) -> None:
    server.answer(202, ACCEPTED)
    server.answer(200, operation("running", 1))
    server.answer(200, operation("completed", finished_at="2026-01-31T08:00:02.500Z", errors=1))
    reply = client.bulk("retry", filters={"queue": "q"})
    assert (reply.affected, reply.errors, reply.duration_ms) == (3, 1, 2500)
    assert server.lines[1:] == ["GET /api/v1/bulk/bulk_1"] * 2


def test_start_bulk_returns_a_handle(client: Client, server: Any) -> None:
    server.answer(202, ACCEPTED)
    server.answer(200, operation("completed"))
    handle = client.start_bulk("delete", filters={"queue": "q"})
    assert server.bodies == [{"action": "delete", "filter": {"queue": "q"}, "async": True}]
    assert "bulk_1" in repr(handle)
    assert (handle.wait()).processed == 3


def test_start_bulk_rejects_an_immediate_result(client: Client, server: Any) -> None:
    server.answer(200, {"affected": 1})
    with pytest.raises(BadReply, match="at once"):
        client.start_bulk("delete", filters={"queue": "q"})


def test_wait_times_out_and_the_operation_continues(client: Client, server: Any) -> None:
    server.answer(200, operation("running"))
    server.answer(200, operation("running"))
    with pytest.raises(TimeoutError, match="bulk_1 still runs"):
        client.bulk_handle("bulk_1").wait(timeout=0.01)


def test_wait_raises_for_a_stopped_operation(client: Client, server: Any) -> None:
    server.answer(200, operation("failed", 1, error="stopped: too slow"))
    with pytest.raises(BulkStopped, match="failed: stopped: too slow, with 1 of 3") as caught:
        client.bulk_handle("bulk_1").wait()
    assert caught.value.operation.affected == 1
    server.answer(200, operation("cancelled", 2))
    with pytest.raises(BulkStopped, match="ended as cancelled, with 2 of 3"):
        client.bulk_handle("bulk_1").wait()


def test_progress_ends_with_the_operation(client: Client, server: Any) -> None:
    kind = "text/event-stream"
    states = messages(operation("queued", 0), operation("running", 2))
    server.answer(200, states, content_type=kind)
    server.answer(200, messages(operation("cancelled", 2), "never read"), content_type=kind)
    seen = [(o.status, o.processed) for o in client.bulk_handle("bulk_1").progress()]
    assert seen == [("queued", 0), ("running", 2), ("cancelled", 2)]
    assert server.lines == ["GET /api/v1/bulk/bulk_1/progress"] * 2


def test_progress_of_an_unknown_operation_is_not_found(client: Client, server: Any) -> None:
    server.refuse(404, "NOT_FOUND", "There is no bulk operation bulk_1.")
    with pytest.raises(NotFound, match="no bulk operation"):
        for _ in client.bulk_handle("bulk_1").progress():
            pass


def test_upcoming_runs_returns_the_next_occurrences(client: Client, server: Any) -> None:
    server.answer(
        200, {"id": "s", "name": "n", "queue": "q", "cron": "@daily", "upcoming": [NOW, NOW]}
    )
    runs = client.upcoming_runs("n", 2)
    assert [run.hour for run in runs] == [8, 8]
    assert server.lines == ["GET /api/v1/schedules/n?upcoming=2"]


def test_metrics_are_text(client: Client, server: Any) -> None:
    server.answer(200, b"corvo_jobs 1\n", content_type="text/plain")
    assert client.metrics() == "corvo_jobs 1\n"


def test_replacing_a_schedule_with_the_same_name_is_repeatable() -> None:
    request = calls.schedule_request("n", queue="q", cron="@daily")
    assert calls.replace_schedule("n", request).repeatable
    assert not calls.replace_schedule("old", request).repeatable
