# Generated from tests/_async/test_async_operations.py by scripts/gen_sync.py. Do not edit.
"""Methods for operators: each sends one request and returns the reply."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from corvo_client import BulkStopped, Client, ValidationFailed

JOB = "/api/v1/jobs/job_1"
QUEUE = "/api/v1/queues/mails%2Fout"


@pytest.fixture
def client(server: Any) -> Iterator[Client]:
    with Client(transport=httpx.MockTransport(server)) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "arguments", "line", "body"),
    [
        ("retry_job", ("job_1",), f"POST {JOB}/retry", None),
        ("requeue_job", ("job_1",), f"POST {JOB}/requeue", None),
        ("cancel_job", ("job_1",), f"POST {JOB}/cancel", None),
        ("move_job", ("job_1", "q"), f"POST {JOB}/move", {"queue": "q"}),
        ("change_priority", ("job_1", "high"), f"POST {JOB}/priority", {"priority": "high"}),
        ("delete_job", ("job_1",), f"DELETE {JOB}", None),
        ("pause_queue", ("mails/out",), f"POST {QUEUE}/pause", None),
        ("resume_queue", ("mails/out",), f"POST {QUEUE}/resume", None),
        ("drain_queue", ("mails/out",), f"POST {QUEUE}/drain", None),
        ("clear_queue", ("mails/out",), f"POST {QUEUE}/clear", None),
        ("delete_queue", ("mails/out",), f"DELETE {QUEUE}?confirm=true", None),
        ("limit_queue", ("mails/out", 0), f"POST {QUEUE}/concurrency", {"max": 0}),
        ("throttle_queue", ("mails/out", 5), f"POST {QUEUE}/throttle", {"rate": 5, "period": "1s"}),
        ("unthrottle_queue", ("mails/out",), f"DELETE {QUEUE}/throttle", None),
    ],
)
def test_action_is_one_request(
    client: Client, server: Any, method: str, arguments: Any, line: str, body: Any
) -> None:
    server.answer(200, {"status": "ok", "deleted": 3})
    reply = getattr(client, method)(*arguments)
    assert reply.status == "ok"
    assert (server.lines, server.bodies) == ([line], [body])


def test_limit_per_key_does_not_change_the_other_limit(client: Client, server: Any) -> None:
    server.answer(200, {"status": "ok"})
    client.limit_queue("q", per_key=2)
    assert server.bodies == [{"per_key": 2}]
    with pytest.raises(ValidationFailed, match="there is no limit; set"):
        client.limit_queue("q")


def test_clear_returns_the_number_of_deleted_jobs(client: Client, server: Any) -> None:
    server.answer(200, {"status": "cleared", "deleted": 12})
    assert (client.clear_queue("q")).deleted == 12


@pytest.mark.parametrize(
    ("method", "status"), [("clear_queue", "cleared"), ("delete_queue", "deleted")]
)
def test_long_deletion_is_awaited(client: Client, server: Any, method: str, status: str) -> None:
    accepted = {"bulk_operation_id": "bulk_1", "status": "queued", "estimated_total": 9}
    server.answer(202, {**accepted, "progress_url": "/api/v1/bulk/bulk_1/progress"})
    operation = {
        "id": "bulk_1",
        "action": f"{method.removesuffix('_queue')}_queue",
        "total": 9,
        "affected": 8,
        "created_at": "2026-01-31T07:00:00.000Z",
    }
    server.answer(200, {**operation, "status": "completed"})
    reply = getattr(client, method)("q")
    assert (reply.status, reply.deleted) == (status, 8)
    assert server.lines[1:] == ["GET /api/v1/bulk/bulk_1"]
    server.answer(202, {**accepted, "progress_url": "/api/v1/bulk/bulk_1/progress"})
    server.answer(200, {**operation, "status": "cancelled"})
    with pytest.raises(BulkStopped):
        getattr(client, method)("q")


def test_workers_and_nodes_are_listed(client: Client, server: Any) -> None:
    server.answer(200, [{"id": "w", "queues": ["q"], "active_jobs": 2, "status": "silent"}])
    server.answer(200, {"mode": "single", "status": "healthy", "nodes": [{"id": "n"}]})
    [worker] = client.list_workers()
    cluster = client.cluster_status()
    assert (worker.id, worker.active_jobs, worker.status) == ("w", 2, "silent")
    assert [node.id for node in cluster.nodes] == ["n"]
    assert server.lines == ["GET /api/v1/workers", "GET /api/v1/cluster/status"]


def test_a_worker_is_found_by_its_id(client: Client, server: Any) -> None:
    server.answer(200, {"id": "host/7 a", "queues": ["q"], "active_jobs": 0, "status": "ok"})
    assert (client.get_worker("host/7 a")).id == "host/7 a"
    assert server.lines == ["GET /api/v1/workers/host%2F7%20a"]
