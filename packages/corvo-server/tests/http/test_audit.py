"""The audit log over HTTP: which endpoints it records, who called, and the search for entries."""

import re
from typing import Any

import pytest

from corvo_schema import AuditOperation
from corvo_server.app import RESOURCES
from corvo_server.http.endpoint import Endpoint
from server_support.http import API, HttpServer, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENDPOINTS = {
    endpoint.handler.__name__: endpoint for resource in RESOURCES for endpoint in resource.endpoints
}
WITHOUT_AUDIT = {
    *("enqueue", "enqueue_batch", "fetch", "fetch_batch", "ack", "ack_batch"),
    *("fail", "fail_batch", "release", "release_batch", "heartbeat", "receive_webhook"),
}
"""Calls of producers, workers and senders. The events of their jobs name them."""
AUDITED = sorted(name for name, endpoint in ENDPOINTS.items() if endpoint.is_audited)
HOOK = "https://receiver.example/hook?token=4111"
JOB = {"queue": "audited", "payload": {"card": "4111"}}
SCHEDULE = {"name": "audited", "queue": "audited", "cron": "@daily", "payload": {"card": "4111"}}
BODIES: dict[str, dict[str, Any]] = {
    "move_job": {"queue": "elsewhere"},
    "change_priority": {"priority": "high"},
    "bulk": {"action": "cancel", "filter": {"queue": "audited"}},
    "limit_queue": {"max": 3},
    "throttle_queue": {"rate": 3, "period": "1s"},
    "set_defaults": {"max_retries": 3},
    "put_schedule": SCHEDULE,
    "replace_schedule": SCHEDULE,
    "create_key": {"name": "audited", "roles": ["worker"]},
    "create_webhook": {"name": "audited", "url": HOOK, "enabled": False},
    "replace_webhook": {"url": HOOK, "enabled": False},
    "create_webhook_source": {"name": "audited", "queue": "audited", "form": "github"},
}


async def entries(server: HttpServer, query: str = "") -> list[dict[str, Any]]:
    reply = await server.get(f"/audit?limit=1000{query}")
    assert reply.status == 200, reply.body
    found: list[dict[str, Any]] = reply.json["entries"]
    return found


async def make_target(server: HttpServer, endpoint: Endpoint) -> str:  # noqa: PLR0911 - a table
    """Make what the endpoint changes. Return its id or name."""
    name = endpoint.handler.__name__
    if "<job_id" in endpoint.path:
        if name not in {"retry_job", "requeue_job"}:
            made = await server.post("/enqueue", JOB)
            return str(made.json["job_id"])
        job_id: str = (await server.post("/enqueue", {"queue": name})).json["job_id"]
        await server.post("/fetch", {"queues": [name], "worker_id": "w"})
        await server.post(f"/fail/{job_id}", {"error": "e", "retry": False})
        return job_id
    if "<schedule" in endpoint.path:
        await server.post("/schedules", SCHEDULE)
        return "audited"
    if "<bulk_id" in endpoint.path:
        await server.post("/enqueue", JOB)
        bulk = {"action": "cancel", "filter": {"queue": "audited"}, "async": True}
        reply = await server.post("/jobs/bulk", bulk)
        bulk_id: str = reply.json["bulk_operation_id"]
        return bulk_id
    if "webhook" in name and "<name" in endpoint.path:
        hook = f"for-{name}".replace("_", "-")
        if "source" in name:
            body = {"name": hook, "queue": "audited", "form": "github"}
            await server.post("/webhook-sources", body)
        else:
            await server.post("/webhooks", {"name": hook, "url": HOOK, "enabled": False})
        return hook
    if "<key" in endpoint.path:
        return str((await server.new_key("worker")).rpartition("_")[0])
    await server.post("/enqueue", JOB)
    await server.call("PUT", f"{API}/queues/audited/defaults", {"max_retries": 9})
    return "audited"


async def test_every_call_that_changes_something_is_audited_or_exempt() -> None:
    changing = {name for name, endpoint in ENDPOINTS.items() if endpoint.writes}
    assert changing - set(AUDITED) == WITHOUT_AUDIT
    assert set(AUDITED) <= changing


async def test_operations_are_the_audited_endpoints() -> None:
    assert {*AUDITED, "end_bulk"} == {*AuditOperation}


@pytest.mark.parametrize("name", AUDITED)
async def test_audited_endpoint_writes_its_entry(server: HttpServer, name: str) -> None:
    await server.require_keys()
    endpoint = ENDPOINTS[name]
    target = await make_target(server, endpoint)
    path = re.sub(r"<\w+:\w+>", target, endpoint.path)
    path += "?confirm=true" if name == "delete_queue" else ""
    headers = server.headers | {"x-request-id": f"audited-{name}"}
    body = BODIES.get(name, {}) if endpoint.method in {"POST", "PUT"} else None
    reply = await server.call(endpoint.method, path, body, headers=headers)
    assert reply.status < 300, reply.body
    found = [entry for entry in await entries(server) if entry["request_id"] == f"audited-{name}"]
    assert found
    for entry in found:
        assert (entry["operation"], entry["outcome"]) == (name, "done")
        assert entry["by"].startswith("key-")
        assert entry["key_id"].startswith("corvo_")
        assert (entry["roles"], entry["address"]) == (["admin"], "127.0.0.1")
    assert b"4111" not in (await server.get("/audit?limit=1000")).body


async def test_call_without_audit_writes_no_entry(server: HttpServer) -> None:
    before = await entries(server)
    job = await server.post("/enqueue", {"queue": "quiet"})
    await server.post("/fetch", {"queues": ["quiet"], "worker_id": "w", "timeout": 0})
    await server.post(f"/ack/{job.json['job_id']}", {})
    assert await entries(server) == before


async def test_entry_has_the_origin_of_its_own_call(server: HttpServer) -> None:
    connection = await server.connect()
    for number in range(2):
        await connection.send(
            request(
                "POST",
                f"{API}/queues/origin/pause",
                {},
                headers=server.headers | {"x-request-id": f"r{number}"},
            )
        )
        await connection.receive()
    found = await entries(server, "&queue=origin")
    assert [entry["request_id"] for entry in found] == ["r1", "r0"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("since=yesterday", "since"),
        ("until=", "until"),
        ("operation=pause", "operation"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=-1", "cursor"),
        ("cursor=" + "9" * 19, "cursor"),
    ],
)
async def test_wrong_parameter_is_refused(server: HttpServer, query: str, field: str) -> None:
    reply = await server.get(f"/audit?{query}")
    assert reply.status == 400
    assert [detail["field"] for detail in reply.json["details"]] == [field]


async def test_pages_follow_each_other(server: HttpServer) -> None:
    for _ in range(3):
        await server.post("/queues/paged/pause")
    first = (await server.get("/audit?queue=paged&limit=2")).json
    assert (len(first["entries"]), first["has_more"]) == (2, True)
    last = (await server.get(f"/audit?queue=paged&limit=2&cursor={first['cursor']}")).json
    assert (len(last["entries"]), last["has_more"], last["cursor"]) == (1, False, None)
    assert (await entries(server, "&queue=paged&until=1d")) == []
    assert len(await entries(server, "&queue=paged&since=1d")) == 3
