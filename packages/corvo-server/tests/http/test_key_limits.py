"""Limits of API keys over HTTP: what is refused, with which reply, and what is never refused."""

from uuid import uuid4

import pytest

from corvo_server.app import RESOURCES
from corvo_server.auth.rates import Rates
from server_support.http import HttpServer, Reply

pytestmark = pytest.mark.asyncio(loop_scope="module")

REPORTS = {"ack", "ack_batch", "fail", "fail_batch", "release", "release_batch", "heartbeat"}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def limited_key(server: HttpServer, *roles: str, **limits: int) -> Reply:
    """Make a key with limits, and return the reply."""
    await server.require_keys()
    body = {"name": f"limited-{uuid4().hex[:8]}", "roles": [*roles], **limits}
    made = await server.post("/auth/keys", body)
    assert made.status == 201, made
    return made


async def test_calls_beyond_the_rate_get_429_with_the_limit(server: HttpServer) -> None:
    clock = Clock()
    server.gate.rates = Rates(clock)
    made = (await limited_key(server, "producer", max_rate=2)).json
    headers = server.with_key(made["key"])
    for path, body, status in (
        ("/enqueue", {"queue": "fast"}, 201),  # on the fast path, and below it
        ("/jobs/bulk-get", {"job_ids": []}, None),
    ):
        clock.now += 1
        replies = [await server.post(path, body, headers=headers) for _ in range(3)]
        assert 429 not in {reply.status for reply in replies[:2]}
        assert status is None or replies[0].status == status
        assert (replies[2].status, replies[2].json["code"]) == (429, "OVERLOADED")
        assert replies[2].headers["retry-after"] == "1"
    name = made["name"]
    expected = f"at most 2 requests a second for the API key {name!r}"
    assert replies[2].json["details"] == [{"field": "max_rate", "message": expected}]
    assert f"max_rate: {expected}" in replies[2].json["error"]
    assert (await server.get("/queues")).status == 200, "another key is not limited"
    clock.now += 0.5
    assert (await server.get("/queues", headers=headers)).status == 200


async def test_worker_can_always_report(server: HttpServer) -> None:
    server.gate.rates = Rates(Clock())
    made = (await limited_key(server, "worker", "producer", max_rate=2)).json
    headers = server.with_key(made["key"])
    await server.post("/enqueue", {"queue": "reports"}, headers=headers)
    fetch = {"queues": ["reports"], "worker_id": "w", "timeout": 0}
    job = (await server.post("/fetch", fetch, headers=headers)).json
    assert (await server.post("/fetch", fetch, headers=headers)).status == 429
    beat = {"worker_id": "w", "jobs": {job["job_id"]: {}}}
    assert (await server.post("/heartbeat", beat, headers=headers)).status == 200
    path = f"/ack/{job['job_id']}"
    reply = await server.post(path, {"lease_token": job["lease_token"]}, headers=headers)
    assert reply.status == 200


async def test_reports_are_all_calls_about_running_jobs_and_no_others() -> None:
    endpoints = [endpoint for resource in RESOURCES for endpoint in resource.endpoints]
    reports = {item.handler.__name__ for item in endpoints if item.is_report}
    assert reports == REPORTS


async def test_enqueue_beyond_the_waiting_jobs_gets_429(server: HttpServer) -> None:
    made = (await limited_key(server, "producer", max_waiting=1)).json
    headers = server.with_key(made["key"])
    assert (await server.post("/enqueue", {"queue": "w"}, headers=headers)).status == 201
    for path, body in (
        ("/enqueue", {"queue": "w"}),
        ("/enqueue/batch", {"jobs": [{"queue": "w"}]}),
    ):
        reply = await server.post(path, body, headers=headers)
        assert (reply.status, reply.json["code"]) == (429, "OVERLOADED")
        assert reply.headers["retry-after"] == "5"
        assert reply.json["details"][0]["field"] == "max_waiting"
    too_many = {"jobs": [{"queue": "w"}] * 2}
    assert (await server.post("/enqueue/batch", too_many, headers=headers)).status == 413


async def test_limits_are_shown_and_kept_by_a_rotation(server: HttpServer) -> None:
    limits = {"max_rate": 7, "max_waiting": 10, "max_bytes": 100}
    made = (await limited_key(server, "producer", **limits)).json
    new = (await server.post(f"/auth/keys/{made['id']}/rotate", {})).json
    status = (await server.get("/auth/status", headers=server.with_key(new["key"]))).json["key"]
    listed = (await server.get("/auth/keys")).json
    shown = [made, new, status, *(key for key in listed if key["id"] in {made["id"], new["id"]})]
    assert len(shown) == 5
    for key in shown:
        assert {name: key[name] for name in limits} == limits


@pytest.mark.parametrize("value", [0, -1, 1.5, "x", True, 10**16])
@pytest.mark.parametrize("limit", ["max_rate", "max_waiting", "max_bytes"])
async def test_limit_must_be_a_positive_number(
    server: HttpServer, limit: str, value: object
) -> None:
    await server.require_keys()
    reply = await server.post("/auth/keys", {"name": "n", "roles": ["worker"], limit: value})
    assert (reply.status, reply.json["details"][0]["field"]) == (400, limit)
