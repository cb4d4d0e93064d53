"""Regression tests: differences between the server and its OpenAPI description (`nox -s fuzz`)."""

from typing import Any

import pytest

from corvo_schema.errors import ErrorCode
from server_support.bench import Bench
from server_support.http import API, HttpServer

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def schemas(server: HttpServer) -> dict[str, Any]:
    found: dict[str, Any] = (await server.get("/openapi.json")).json["components"]["schemas"]
    return found


async def operation(server: HttpServer, method: str, path: str) -> dict[str, Any]:
    found: dict[str, Any] = (await server.get("/openapi.json")).json["paths"][API + path][method]
    return found


def refused(reply: Any, field: str) -> bool:
    body = reply.json
    fields = [detail["field"] for detail in body.get("details", ())]
    return (reply.status, body["code"], fields) == (400, ErrorCode.VALIDATION_ERROR, [field])


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/jobs/x", "GET, HEAD, DELETE"),
        ("/queues/x", "GET, HEAD, DELETE"),
        ("/queues/x/throttle", "POST, DELETE"),
        ("/schedules", "GET, HEAD, POST"),
        ("/schedules/x", "GET, HEAD, PUT, DELETE"),
        ("/enqueue", "POST"),
        ("/events", "GET"),
    ],
)
async def test_refusal_of_a_method_lists_all_methods_of_the_path(
    server: HttpServer, path: str, allowed: str
) -> None:
    reply = await server.call("PATCH", API + path)
    assert (reply.status, reply.headers["allow"]) == (405, allowed)


async def test_null_in_a_list_of_states_is_refused(bench: Bench, server: HttpServer) -> None:
    await bench.enqueue("nulls")
    body = {"filter": {"queue": "nulls", "state": [None]}, "action": "delete"}
    assert refused(await server.post("/jobs/bulk", body), "filter.state[0]")
    assert (await bench.queue("nulls")).pending == 1


async def test_invalid_value_of_strict_is_refused(server: HttpServer) -> None:
    for given in ("strict=yes", "strict=True", "strict=2", "strict=", "strict"):
        assert refused(await server.post(f"/enqueue?{given}", {"queue": "q"}), "strict")
    for given in ("strict=false", "strict=0", "other=1"):
        body = {"queue": "q", "unknown": 1}
        assert (await server.post(f"/enqueue?{given}", body)).status == 201


async def test_bounds_are_described(server: HttpServer) -> None:
    """JSON Schema keywords describe the bounds, also of fields that are checked in Python."""
    described = await schemas(server)
    limit, null = described["SearchRequest"]["properties"]["limit"]["anyOf"]
    assert limit == {"type": "integer", "minimum": 1, "maximum": 1000}
    assert null == {"type": "null"}
    rate = described["ThrottleRequest"]["properties"]["rate"]
    assert (rate["minimum"], rate["maximum"]) == (1, 1_000_000_000)
    tags, _ = described["EnqueueRequest"]["properties"]["tags"]["anyOf"]
    assert tags["maxProperties"] == 64
    timeout, *_ = described["FetchRequest"]["properties"]["timeout"]["anyOf"]
    assert (timeout["minimum"], timeout["maximum"]) == (0, 60)


async def test_null_is_described_for_fields_with_a_default(server: HttpServer) -> None:
    for name, schema in (await schemas(server)).items():
        if name.endswith("Request") or name in {"SearchFilter", "HeartbeatJob", "BatchOptions"}:
            for field, described in schema["properties"].items():
                is_any = not described.keys() & {"type", "anyOf", "$ref"}
                if field not in schema.get("required", ()) and not is_any:
                    assert {"type": "null"} in described["anyOf"], (name, field)


async def test_replies_that_are_not_json_are_described(server: HttpServer) -> None:
    for path, media_type in {
        "/metrics": "text/plain",
        "/docs": "text/html",
        "/events": "text/event-stream",
        "/bulk/{bulk_id}/progress": "text/event-stream",
        "/queues": "application/json",
    }.items():
        (described,) = (await operation(server, "get", path))["responses"]["200"]["content"]
        assert described == media_type


async def test_parameters_are_described(server: HttpServer) -> None:
    events = (await operation(server, "get", "/events"))["parameters"]
    assert [(parameter["in"], parameter["name"]) for parameter in events] == [
        ("query", "queues"),
        ("query", "job_ids"),
        ("query", "types"),
        ("query", "last_event_id"),
        ("header", "Last-Event-ID"),
    ]
    _, confirm = (await operation(server, "delete", "/queues/{name}"))["parameters"]
    assert (confirm["name"], confirm["required"]) == ("confirm", True)
    enqueue = (await operation(server, "post", "/enqueue"))["parameters"]
    assert [parameter["name"] for parameter in enqueue] == ["traceparent", "strict"]


async def test_every_call_but_health_is_described_with_status_429(server: HttpServer) -> None:
    for path, methods in (await server.get("/openapi.json")).json["paths"].items():
        for method, described in methods.items():
            is_served = path in {"/healthz", "/readyz", f"{API}/metrics"}
            assert ("429" in described["responses"]) is not is_served, (method, path)
            for status, response in described["responses"].items():
                assert "X-Request-ID" in response["headers"]
                assert ("Retry-After" in response["headers"]) is (status in {"429", "503"})


async def test_body_is_required_if_it_has_required_fields(server: HttpServer) -> None:
    for path, is_required in {
        "/enqueue": True,
        "/heartbeat": False,
        "/ack/{job_id}": False,
    }.items():
        described = await operation(server, "post", path)
        assert described["requestBody"]["required"] is is_required


async def test_enqueue_is_described_with_status_409(server: HttpServer) -> None:
    for path in ("/enqueue", "/enqueue/batch"):
        assert "409" in (await operation(server, "post", path))["responses"]
