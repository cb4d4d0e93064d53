"""Invalid input: the error names the field, and the request has no effect."""

import asyncio
import json
import time
from typing import Any

import pytest

from support.api_client import API, ApiClient, Body
from support.server import CorvoServer

NOT_JSON = {
    "cut off": b'{"queue":"q"',
    "two documents": b'{"queue":"q"}{}',
    "single quotes": b"{'queue':'q'}",
    "NaN": b'{"queue":"q","payload":NaN}',
    "infinity": b'{"queue":"q","payload":[-Infinity]}',
    "too large for a float": b'{"queue":"q","payload":1e400}',
    "a lone surrogate": rb'{"queue":"q","payload":"\ud800"}',
    "not UTF-8": b'{"queue":"q","payload":"\xff"}',
    "a control character": b'{"queue":"q","payload":"\x01"}',
    "10,000 levels": b'{"queue":"q","payload":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "10,000 objects": b'{"queue":"q","payload":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001,
}
NOT_AN_OBJECT = [b"[]", b'"queue"', b"null", b"7"]
WRONG_ENQUEUES: list[tuple[str, Any]] = [
    ("queue", None),
    ("queue", 7),
    ("queue", ""),
    ("queue", "q" * 300),
    ("queue", "two words"),
    ("queue", "größe"),
    ("priority", "urgent"),
    ("priority", 3),
    ("priority", -1),
    ("priority", True),
    ("unique_key", ""),
    ("unique_key", "a\0b"),
    ("unique_key", "k" * 1025),
    ("unique_period", -1),
    ("unique_period", "soon"),
    ("max_retries", -1),
    ("max_retries", "3"),
    ("max_retries", 1.5),
    ("max_retries", True),
    ("max_retries", 10**30),
    ("retry_backoff", "quadratic"),
    ("retry_base_delay", 5),
    ("retry_base_delay", "-5s"),
    ("retry_max_delay", "5 parsecs"),
    ("scheduled_at", "2026-01-31T08:00:00"),
    ("scheduled_at", "tomorrow"),
    ("scheduled_at", 1_800_000_000),
    ("scheduled_at", "2026-02-30T08:00:00Z"),
    ("expire_after", "9999999999d"),
    ("tags", ["a"]),
    ("tags", {"": "x"}),
    ("job_id", "job_1"),
    ("job_id", "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
]
WRONG_CALLS: list[tuple[str, Body, str]] = [
    ("/fetch", {"worker_id": "w"}, "queues"),
    ("/fetch", {"queues": [], "worker_id": "w"}, "queues"),
    ("/fetch", {"queues": "q", "worker_id": "w"}, "queues"),
    ("/fetch", {"queues": ["q", "q q"], "worker_id": "w"}, "queues[1]"),
    ("/fetch", {"queues": ["q"]}, "worker_id"),
    ("/fetch", {"queues": ["q"], "worker_id": "w" * 256}, "worker_id"),
    ("/fetch", {"queues": ["q"], "worker_id": "w", "timeout": -1}, "timeout"),
    ("/fetch", {"queues": ["q"], "worker_id": "w", "timeout": 61}, "timeout"),
    ("/fetch", {"queues": ["q"], "worker_id": "w", "lease_duration": 0}, "lease_duration"),
    ("/fetch", {"queues": ["q"], "worker_id": "w", "lease_duration": 86_401}, "lease_duration"),
    ("/fetch/batch", {"queues": ["q"], "worker_id": "w", "count": 0}, "count"),
    ("/fetch/batch", {"queues": ["q"], "worker_id": "w", "count": 513}, "count"),
    ("/ack/batch", {"acks": [{"job_id": "j"}, {}]}, "acks[1].job_id"),
    ("/ack/batch", {"acks": {}}, "acks"),
    ("/ack/batch", {"acks": [{"job_id": "j"}] * 513}, "acks"),
    ("/fail/job_1", {}, "error"),
    ("/fail/job_1", {"error": 5}, "error"),
    ("/fail/job_1", {"error": "x", "retry": "no"}, "retry"),
    ("/release/job_1", {"delay": "-1s"}, "delay"),
    ("/heartbeat", {"jobs": []}, "jobs"),
    ("/heartbeat", {"jobs": {"j": {"progress": 5}}}, "jobs.j.progress"),
    ("/heartbeat", {"jobs": {"j": {"progress": {"total": "a"}}}}, "jobs.j.progress.total"),
    ("/jobs/bulk-get", {"job_ids": "job_1"}, "job_ids"),
    ("/enqueue/batch", {"jobs": [{"queue": "q"}], "batch": {}}, "batch.callback_queue"),
]


@pytest.mark.parametrize("raw", NOT_JSON.values(), ids=NOT_JSON.keys())
async def test_a_body_that_is_not_json_is_refused(api: ApiClient, raw: bytes) -> None:
    refusal = await api.refused("/enqueue", raw=raw)
    assert (refusal.status, refusal.code, refusal.fields) == (400, "PARSE_ERROR", ["body"])
    assert len(refusal.error) < 300


@pytest.mark.parametrize("raw", NOT_AN_OBJECT)
async def test_a_body_that_is_not_an_object_is_refused(api: ApiClient, raw: bytes) -> None:
    refusal = await api.refused("/enqueue", raw=raw)
    assert (refusal.status, refusal.code, refusal.fields) == (400, "VALIDATION_ERROR", ["body"])


@pytest.mark.parametrize(("field", "value"), WRONG_ENQUEUES)
async def test_the_error_names_an_invalid_field_of_a_job(
    api: ApiClient, queue: str, field: str, value: Any
) -> None:
    body = {"queue": queue, field: value}
    refusal = await api.refused("/enqueue", body)
    assert (refusal.status, refusal.code, refusal.fields) == (400, "VALIDATION_ERROR", [field])
    batch = {"jobs": [{"queue": queue}, body]}
    refusal = await api.refused("/enqueue/batch", batch)
    assert (refusal.status, refusal.fields) == (400, [f"jobs[1].{field}"])
    assert await api.try_fetch(queue) is None


@pytest.mark.parametrize(("path", "body", "field"), WRONG_CALLS)
async def test_the_error_names_an_invalid_field_of_a_call(
    api: ApiClient, path: str, body: Body, field: str
) -> None:
    refusal = await api.refused(path, body)
    assert (refusal.status, refusal.code, refusal.fields) == (400, "VALIDATION_ERROR", [field])


async def test_the_error_names_every_invalid_field(api: ApiClient) -> None:
    body = {"queue": "q q", "max_retries": -1, "priority": "x", "retry_backoff": "y"}
    refusal = await api.refused("/enqueue", body)
    assert refusal.fields == ["priority", "max_retries", "retry_backoff", "queue"]
    assert "3 more" in refusal.error


@pytest.mark.parametrize(("verb", "more"), [("ack", {}), ("fail", {"error": "x"}), ("release", {})])
@pytest.mark.parametrize("job_id", ["job_01ARZ3NDEKTSV4RRFFQ69G5FAV", "x", "job_%F0%9F%98%80"])
async def test_an_outcome_of_a_job_that_does_not_exist_is_refused(
    api: ApiClient, verb: str, more: Body, job_id: str
) -> None:
    refusal = await api.refused(f"/{verb}/{job_id}", {"lease_token": "abc", **more})
    assert (refusal.status, refusal.code) == (404, "NOT_FOUND")


async def test_an_outcome_with_another_jobs_token_is_refused(api: ApiClient, queue: str) -> None:
    await api.enqueue(queue)
    await api.enqueue(queue)
    own, other = await api.fetch_batch(queue, count=2)
    body = {"lease_token": other["lease_token"]}
    refusal = await api.refused(f"/ack/{own['job_id']}", body)
    assert (refusal.status, refusal.code) == (409, "LEASE_LOST")
    await api.ack(own)
    await api.ack(other)


async def test_an_ack_without_token_of_a_completed_job_is_refused(
    api: ApiClient, queue: str
) -> None:
    job_id = await api.enqueue(queue)
    await api.ack(await api.fetch(queue))
    refusal = await api.refused(f"/ack/{job_id}", {})
    assert (refusal.status, refusal.code) == (409, "INVALID_STATE")
    assert "completed" in refusal.error


async def test_invalid_error_texts_are_repaired_instead_of_refused(
    api: ApiClient, queue: str
) -> None:
    """A worker must always be able to fail its job, with any error text."""
    job_id = await api.enqueue(queue, max_retries=1)
    leased = await api.fetch(queue)
    await api.fail(leased, "NUL \0 in it", backtrace="x" * 1_000_000)
    (error,) = (await api.job(job_id))["errors"]
    assert error["error"] == "NUL \ufffd in it"
    assert len(error["backtrace"]) < 100_000


@pytest.mark.parametrize(
    "head",
    [
        "NONSENSE\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        f"POST {API}/enqueue HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        f"POST {API}/enqueue HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        f"POST {API}/enqueue HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET /" + "x" * 20_000 + " HTTP/1.1\r\n\r\n",
    ],
)
async def test_invalid_http_is_refused_and_the_connection_is_closed(
    server: CorvoServer, head: str
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head.encode())
    answer = await asyncio.wait_for(reader.read(), 20)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 "))
    body = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert body["code"] in {"PARSE_ERROR", "PAYLOAD_TOO_LARGE"}
    writer.close()
    await writer.wait_closed()


async def test_invalid_bodies_do_not_slow_later_requests(api: ApiClient, queue: str) -> None:
    """Requests after many expensive invalid bodies are as fast as before."""

    async def seconds_for_calls() -> float:
        started = time.perf_counter()
        for _ in range(100):
            await api.enqueue(queue)
        return time.perf_counter() - started

    await seconds_for_calls()
    before = min([await seconds_for_calls() for _ in range(3)])
    for raw in list(NOT_JSON.values()) * 20:
        await api.refused("/enqueue", raw=raw)
    after = min([await seconds_for_calls() for _ in range(3)])
    assert after < before * 5 + 0.5
