"""Which role may call which endpoint, and which keys are accepted.

The table is written by hand, so that a wrong declaration fails.
"""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from corvo_schema import ApiKeyRequest, Role
from corvo_server.app import RESOURCES
from corvo_server.http.endpoint import Endpoint
from corvo_server.http.gate import Failures
from server_support.http import API, HttpServer, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROLES = {
    "producer": "enqueue enqueue_batch get_job bulk_get search_jobs list_batches get_batch "
    "list_queues get_queue events openapi docs info",
    "worker": "fetch fetch_batch ack ack_batch fail fail_batch release release_batch heartbeat "
    "openapi docs info",
    "readonly": "get_job bulk_get search_jobs list_batches get_batch list_bulk get_bulk "
    "follow_bulk list_queues get_queue list_schedules get_schedule events metrics list_workers "
    "get_worker cluster_status openapi docs info",
    "operator": "get_job bulk_get search_jobs list_batches get_batch list_bulk get_bulk "
    "follow_bulk list_queues get_queue list_schedules get_schedule events metrics list_workers "
    "get_worker cluster_status openapi docs info "
    "cancel_job retry_job requeue_job move_job change_priority delete_job bulk cancel_bulk "
    "pause_queue resume_queue drain_queue clear_queue delete_queue limit_queue throttle_queue "
    "unthrottle_queue set_defaults clear_defaults put_schedule replace_schedule delete_schedule "
    "pause_schedule resume_schedule run_schedule list_audit",
}
"""The endpoints that each role may call, by the names of their handlers."""
OF_ADMINS = {
    *("list_keys", "create_key", "rotate_key", "revoke_key"),
    *("list_webhooks", "create_webhook", "replace_webhook", "rotate_webhook", "delete_webhook"),
    *("list_webhook_sources", "create_webhook_source", "rotate_webhook_source"),
    "delete_webhook_source",
}
OPEN = {"healthz", "readyz", "auth_status"}
SIGNED = {"receive_webhook"}
"""Needs no key, but a signature, which the calls of these tests do not have."""
ENDPOINTS = {
    endpoint.handler.__name__: endpoint for resource in RESOURCES for endpoint in resource.endpoints
}
MATRIX = [(name, role) for name in sorted(ENDPOINTS) for role in (*Role, None)]


def is_allowed(name: str, role: Role | None) -> bool:
    if name in OPEN or role is Role.ADMIN:
        return True
    return role is not None and name in ROLES[role].split()


async def call(server: HttpServer, endpoint: Endpoint, headers: Mapping[str, str]) -> int:
    """Call an endpoint with a key and return the status. A stream is left after its head."""
    path = re.sub(r"<\w+:\w+>", "nothing", endpoint.path)
    body: Any = {} if endpoint.method in {"POST", "PUT"} else None
    connection = await server.connect()
    await connection.send(request(endpoint.method, path, body, headers=headers))
    status_line = await connection.reader.readline()
    connection.close()
    return int(status_line.split()[1])


async def test_the_table_knows_every_endpoint() -> None:
    named = {name for names in ROLES.values() for name in names.split()} | OF_ADMINS | OPEN | SIGNED
    assert named == set(ENDPOINTS)


@pytest.mark.parametrize(("name", "role"), MATRIX)
async def test_role_may_call_what_the_table_says(
    server: HttpServer, name: str, role: Role | None
) -> None:
    await server.require_keys()
    headers = {} if role is None else server.with_key(await key_of(server, role))
    status = await call(server, ENDPOINTS[name], headers)
    if name in SIGNED:
        assert status == 401
    elif is_allowed(name, role):
        assert status not in {401, 403}
    else:
        assert status == (401 if role is None else 403)


async def test_several_roles_add_up(server: HttpServer) -> None:
    await server.require_keys()
    headers = server.with_key(await server.new_key("producer", "worker"))
    assert (await server.post("/enqueue", {"queue": "both"}, headers=headers)).status == 201
    fetch = {"queues": ["both"], "worker_id": "w", "timeout": 0}
    assert (await server.post("/fetch", fetch, headers=headers)).status == 200
    assert (await server.post("/queues/both/pause", headers=headers)).status == 403


async def test_refusal_names_the_roles(server: HttpServer) -> None:
    await server.require_keys()
    headers = server.with_key(await server.new_key("worker"))
    reply = await server.post("/enqueue", {"queue": "q"}, headers=headers)
    assert "role worker" in reply.json["error"]
    assert "needs admin or producer" in reply.json["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Basic dXNlcjpwYXNz"},
        {"authorization": "Bearer corvo_x"},
        {"x-api-key": "x"},
        {"x-api-key": "\xe9\xff"},
        {"x-api-key": "a" * 4000},
    ],
)
@pytest.mark.parametrize("path", ["/enqueue", "/queues/q/pause"], ids=["fast", "plain"])
async def test_call_without_a_valid_key_is_refused(
    server: HttpServer, path: str, headers: dict[str, str]
) -> None:
    await server.require_keys()
    server.gate.failures.clear()
    reply = await server.post(path, {"queue": "q"}, headers={"authorization": "", **headers})
    assert (reply.status, reply.json["code"]) == (401, "UNAUTHORIZED")
    assert reply.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_key_is_accepted_in_both_headers(server: HttpServer, scheme: str) -> None:
    await server.require_keys()
    text = server.headers["authorization"].split()[1]
    for headers in (
        {"authorization": f"{scheme} {text}"},
        {"authorization": "", "x-api-key": text},
        {"authorization": f"{scheme} {text}", "x-api-key": text},
    ):
        assert (await server.get("/queues", headers=headers)).status == 200


async def test_two_different_keys_are_refused(server: HttpServer) -> None:
    await server.require_keys()
    other = await server.new_key("readonly")
    reply = await server.get("/queues", headers={"x-api-key": other})
    assert reply.status == 401
    assert "different API keys" in reply.json["error"]


async def test_body_of_a_stranger_is_not_waited_for(server: HttpServer) -> None:
    await server.require_keys()
    for path in ("/enqueue", "/queues/q/concurrency"):
        head = f"POST {API}{path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 8000000\r\n"
        reply = await server.raw(f"{head}content-type: application/json\r\n\r\n".encode())
        assert reply.status == 401


async def test_each_request_of_a_connection_has_its_own_caller(server: HttpServer) -> None:
    await server.require_keys()
    worker = server.with_key(await server.new_key("worker"))
    connection = await server.connect()
    for headers, status in ((server.headers, 200), (worker, 403), ({}, 401), (server.headers, 200)):
        await connection.send(request("GET", f"{API}/queues", headers=headers))
        assert (await connection.receive()).status == status
    body = {"queue": "own"}
    for headers, status in ((server.headers, 201), (worker, 403), ({}, 401), (server.headers, 201)):
        await connection.send(request("POST", f"{API}/enqueue", body, headers=headers))
        assert (await connection.receive()).status == status


async def test_revoked_key_ends_on_an_open_connection(server: HttpServer) -> None:
    await server.require_keys()
    made = ApiKeyRequest.model_validate({"name": "gone", "roles": ["readonly"]})
    record, text = await server.engine.keys.create(made)
    connection = await server.connect()
    for status in (200, 401):
        await connection.send(request("GET", f"{API}/queues", headers=server.with_key(text)))
        assert (await connection.receive()).status == status
        await server.engine.keys.revoke(record.id)


async def test_too_many_wrong_keys_get_429(server: HttpServer) -> None:
    await server.require_keys()
    server.gate.failures.clear()
    wrong = {"authorization": "Bearer x"}
    replies = [await server.get("/queues", headers=wrong) for _ in range(22)]
    assert [reply.status for reply in replies] == [401] * 20 + [429] * 2
    assert 0 < int(replies[-1].headers["retry-after"]) <= 60
    assert (await server.get("/queues")).status == 200, "a valid key is not limited"
    server.gate.failures.clear()


async def test_failures_are_counted_by_address_and_window() -> None:
    now = 0.0
    failures = Failures(lambda: now)
    assert [failures.note("a") for _ in range(20)] == [None] * 20
    assert failures.note("b") is None
    now = 20.0
    assert failures.note("a") == 40
    now = 60.0
    assert failures.note("a") is None
    for number in range(20_000):
        failures.note(str(number))
    assert len(failures) <= 10_000


async def key_of(server: HttpServer, role: Role) -> str:
    """Return a key with only this role, made at its first use."""
    known: dict[Role, str] = vars(server).setdefault("keys_of_roles", {})
    if role not in known:
        known[role] = await server.new_key(role)
    return known[role]
