"""No reply to a caller below the role operator contains a secret value of a payload.

The endpoints come from the table of endpoints. A new one that these roles may call needs an entry
in `CALLS`, or a test fails.
"""

import asyncio
import json
import logging
from string import Template
from typing import Any

import pytest
from pydantic import TypeAdapter

from corvo_schema import Role
from corvo_server.app import RESOURCES
from corvo_server.http.endpoint import API_PREFIX, EVENT_STREAM, JSON, Endpoint
from server_support.bench import Bench
from server_support.http import HttpServer, request
from server_support.secrets import CANARY, CARD, PAYLOAD, PIN, Secrets

pytestmark = pytest.mark.asyncio(loop_scope="module")

BELOW = (Role.PRODUCER, Role.READONLY)
ENDPOINTS = {
    endpoint.handler.__name__: endpoint
    for resource in RESOURCES
    for endpoint in resource.endpoints
    if not endpoint.roles or not endpoint.roles.isdisjoint(BELOW)
    if endpoint.handler.__name__ != "receive_webhook"  # it answers with the id of a job only
}
ENQUEUE = {"queue": "pay.new", "payload": {"card": {}}}
EVENTS = "/events?last_event_id=0"
CALLS: dict[str, list[tuple[str, Any]]] = {
    "enqueue": [("/enqueue", ENQUEUE)],
    "enqueue_batch": [("/enqueue/batch", {"jobs": [ENQUEUE], "batch": {"callback_queue": "n"}})],
    "get_job": [(f"/jobs/$job{i}", None) for i in range(6)],
    "bulk_get": [("/jobs/bulk-get", {"job_ids": [f"$job{i}" for i in range(6)]})],
    "search_jobs": [("/jobs/search", {}), ("/jobs/search", {"queue": "pay.a", "limit": 2})],
    "list_batches": [("/batches", None)],
    "get_batch": [("/batches/$batch", None)],
    "list_bulk": [("/bulk", None)],
    "get_bulk": [("/bulk/$bulk", None)],
    "follow_bulk": [("/bulk/$bulk/progress", None)],
    "list_queues": [("/queues", None)],
    "get_queue": [("/queues/pay.a", None)],
    "list_schedules": [("/schedules", None)],
    "get_schedule": [("/schedules/$schedule", None)],
    "events": [(EVENTS, None)],
    "metrics": [("/metrics", None)],
    "list_workers": [("/workers", None)],
    "get_worker": [("/workers/worker-1", None)],
    "cluster_status": [("/cluster/status", None)],
    "info": [("/info", None)],
    "auth_status": [("/auth/status", None)],
    "openapi": [("/openapi.json", None)],
    "docs": [("/docs", None)],
    "healthz": [("/healthz", None)],
    "readyz": [("/readyz", None)],
}
SHOWING = {"get_job", "bulk_get", "search_jobs", "events", "list_schedules", "get_schedule"}
"""The endpoints whose replies to an operator contain secret values."""


async def call(
    server: HttpServer, endpoint: Endpoint, path: str, body: Any, headers: dict[str, str]
) -> bytes:
    """Return the body of a reply; of a stream, up to the newest event."""
    full = path if endpoint.path == path else API_PREFIX + path
    sent = None if body is None else json.dumps(body).encode()
    if endpoint.media_type != EVENT_STREAM:
        reply = await server.call(endpoint.method, full, sent, headers=headers)
        assert reply.status < 300, reply.body
        if endpoint.media_type == JSON and endpoint.replies[reply.status] is not None:
            TypeAdapter(endpoint.replies[reply.status]).validate_json(reply.body, strict=True)
        return reply.body
    last = b"id: %d\n" % await server.engine.events.last_id()
    connection = await server.connect()
    await connection.send(request("GET", full, headers=headers))
    found = await asyncio.wait_for(connection.reader.readuntil(b"\r\n\r\n"), 10)
    end = last if path == EVENTS else b"data: "
    while end not in found or not found.endswith(b"\n\n"):
        chunk = await asyncio.wait_for(connection.reader.readline(), 10)
        found += await connection.reader.readexactly(int(chunk, 16))
        await connection.reader.readexactly(2)
    connection.close()
    return found


def calls_of(name: str, secrets: Secrets) -> list[tuple[str, Any]]:
    names = {f"job{i}": job_id for i, job_id in enumerate(secrets.jobs)} | secrets._asdict()
    text = Template(json.dumps(CALLS[name])).substitute(names)
    return [(path, body) for path, body in json.loads(text)]


def shown(body: bytes) -> list[str]:
    """Return the secret values in a body."""
    return [value for value in (CANARY, str(PIN)) if value in body.decode()]


@pytest.mark.parametrize("role", BELOW)
@pytest.mark.parametrize("name", sorted(ENDPOINTS))
async def test_no_secret_value_is_in_a_reply(
    server: HttpServer, secrets: Secrets, name: str, role: Role
) -> None:
    endpoint = ENDPOINTS[name]
    if endpoint.roles and role not in endpoint.roles:
        return
    headers = server.with_key(await server.new_key(role))
    for path, body in calls_of(name, secrets):
        assert not shown(await call(server, endpoint, path, body, headers)), path


@pytest.mark.parametrize("name", sorted(SHOWING))
async def test_operators_see_the_values(server: HttpServer, secrets: Secrets, name: str) -> None:
    headers = server.with_key(await server.new_key("operator"))
    for path, body in calls_of(name, secrets):
        found = shown(await call(server, ENDPOINTS[name], path, body, headers))
        assert found == [CANARY, str(PIN)], path


async def test_the_rest_of_a_job_is_shown(server: HttpServer, secrets: Secrets) -> None:
    headers = server.with_key(await server.new_key("readonly"))
    masked = {"number": "[redacted]", "pin": "[redacted]", "old": "[redacted]"}
    done, dead, cancelled, active, pending, callback = [
        (await server.get(f"/jobs/{job_id}", headers=headers)).json for job_id in secrets.jobs
    ]
    for job in (done, dead, cancelled, active, pending):
        assert job["payload"] == {"card": masked, "note": "open"}
        assert job["concurrency_key"] == "c[redacted]"
        assert job["tags"] == {"[redacted]": "card [redacted]"}
    assert done["unique_key"] == "ack [redacted]"
    assert done["result"] == ["[redacted]", {"pin": "[redacted]"}]
    assert active["progress"] == {"current": None, "total": 2, "message": "[redacted]"}
    assert active["checkpoint"] == {"[redacted]": ["[redacted]", "[redacted]"]}
    assert dead["errors"][0]["error"] == "declined: '[redacted]'"
    backtrace = dead["errors"][0]["backtrace"]
    assert backtrace.startswith("pay({'card': {'number': '[redacted]', 'pin': [redacted], ")
    assert [event["data"].get("reason") for event in cancelled["timeline"]][-1] == (
        "declined: '[redacted]'"
    )
    assert callback["payload"]["payload"] == {"card": masked, "note": "open"}
    assert callback["payload"]["total"] == 1


async def test_events_of_queues_without_rules_are_complete(
    server: HttpServer, bench: Bench
) -> None:
    headers = server.with_key(await server.new_key("readonly"))
    job = await bench.start(queue="open", payload=PAYLOAD)
    await bench.fail(job, f"declined {CANARY}", retry=False)
    body = await call(server, ENDPOINTS["events"], EVENTS, None, headers)
    assert shown(body) == [CANARY]
    reply = await server.get(f"/jobs/{job.head.id}", headers=headers)
    assert reply.json["payload"] == PAYLOAD


async def test_workers_get_the_values(server: HttpServer, bench: Bench) -> None:
    await bench.enqueue("pay.work", payload=PAYLOAD)
    for roles in (["worker"], ["worker", "readonly", "producer"]):
        headers = server.with_key(await server.new_key(*roles))
        fetch = {"queues": ["pay.work"], "worker_id": "w", "timeout": 0}
        fetched = (await server.post("/fetch", fetch, headers=headers)).json
        assert fetched["payload"]["card"] == CARD
        path = f"/release/{fetched['job_id']}"
        await server.post(path, {"lease_token": fetched["lease_token"]}, headers=headers)


async def test_logs_of_skipped_occurrences_are_masked(
    bench: Bench, secrets: Secrets, caplog: pytest.LogCaptureFixture
) -> None:
    assert secrets.schedule
    with caplog.at_level(logging.INFO):
        bench.clock.forward(60_000)
        await bench.engine.schedules.run_due()
    assert "a live job holds the unique key" in caplog.text
    assert CANARY not in caplog.text
