"""Behaviour around every call: request ids, access log, CORS, health, OpenAPI description."""

import asyncio
import io
import logging
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from corvo_server import logs
from corvo_server.__about__ import __version__
from corvo_server.app import RESOURCES
from corvo_server.engine.engine import Engine
from corvo_server.http.access_log import AccessLog
from corvo_server.store.protocol import StoreOverloaded
from server_support.bench import Bench, until
from server_support.http import HttpServer, serve
from server_support.unknown_outcomes import hide_outcomes

pytestmark = pytest.mark.asyncio(loop_scope="module")


def raise_(error: Exception) -> Any:
    raise error


# Request ids


@pytest.mark.parametrize("given", ["abc", "a" * 128, "550e8400-e29b-41d4", "a.b_c:d/e+f=g"])
async def test_valid_request_id_is_echoed(server: HttpServer, given: str) -> None:
    reply = await server.get("/info", headers={"X-Request-ID": given})
    assert reply.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a b", "a" * 129, "<script>", "a\xe9", '"', "a,b"])
async def test_invalid_request_id_is_replaced(server: HttpServer, given: str) -> None:
    reply = await server.get("/info", headers={"X-Request-ID": given})
    assert re.fullmatch(r"[0-9a-f]+-\d+", reply.headers["x-request-id"])


async def test_every_request_has_an_id_of_its_own(server: HttpServer) -> None:
    ids = {(await server.get("/info")).headers["x-request-id"] for _ in range(5)}
    assert len(ids) == 5


async def test_error_contains_the_request_id_of_the_caller(server: HttpServer) -> None:
    reply = await server.get("/jobs/none", headers={"X-Request-ID": "mine-7"})
    assert (reply.json["request_id"], reply.headers["x-request-id"]) == ("mine-7", "mine-7")


# Failures of the server


async def test_bug_is_an_internal_error_without_its_traceback(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(
        server.engine.queues, "get", lambda _: raise_(RuntimeError("secret of the house"))
    )
    reply = await server.get("/queues/mail", headers={"X-Request-ID": "mine-8"})
    assert (reply.status, reply.json["code"]) == (500, "INTERNAL_ERROR")
    assert b"secret" not in reply.body
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "mine-8" in record.getMessage()
    assert record.exc_info is not None
    assert "secret of the house" in caplog.text


async def test_overload_says_when_to_retry(
    bench: Bench, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(bench.store, "enqueue", lambda _: raise_(StoreOverloaded("7 are waiting")))
        reply = await server.post("/enqueue", {"queue": "mail"})
    assert (reply.status, reply.json["code"]) == (429, "OVERLOADED")
    assert int(reply.headers["retry-after"]) >= 1
    assert "Nothing was done" in reply.json["error"]


async def test_unavailable_store_says_when_to_retry(bench: Bench, server: HttpServer) -> None:
    with bench.kit.break_commits(bench.store):
        reply = await server.post("/enqueue", {"queue": "mail"})
    assert (reply.status, reply.json["code"]) == (503, "UNAVAILABLE")
    assert int(reply.headers["retry-after"]) >= 1
    assert (await server.post("/enqueue", {"queue": "mail"})).status == 201


CALLS = {
    "enqueue": ("/enqueue", {"queue": "unknown"}),
    "batch": ("/enqueue/batch", {"jobs": [{"queue": "unknown"}]}),
    "fetch": ("/fetch", {"queues": ["unknown"], "worker_id": "w", "timeout": 0}),
    "pause": ("/queues/unknown/pause", None),
    "schedule": ("/schedules", {"name": "unknown", "queue": "unknown", "cron": "@daily"}),
    "bulk": ("/jobs/bulk", {"action": "cancel", "filter": {"queue": "unknown"}, "async": True}),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_call_of_unknown_outcome_says_how_to_repeat(
    bench: Bench, server: HttpServer, call: tuple[str, object]
) -> None:
    await bench.enqueue("unknown")
    with hide_outcomes(bench.store, are_stored=True):
        reply = await server.post(*call)
    await bench.store.touch()  # makes the server ready again
    assert (reply.status, reply.json["code"]) == (500, "OUTCOME_UNKNOWN")
    assert reply.json["error"].startswith("It is unknown whether this call was done: ")
    assert "with the same job_id" in reply.json["error"]
    assert "Nothing was done" not in reply.json["error"]
    assert reply.json["request_id"] == reply.headers["x-request-id"]


# Health


async def test_health(server: HttpServer) -> None:
    for path in ("/healthz", "/readyz"):
        reply = await server.call("GET", path)
        assert (reply.status, reply.json) == (200, {"status": "ok"})
    reply = await server.get("/info")
    assert reply.json == {"server_version": __version__, "api_version": "1"}


async def test_health_without_a_store(bench: Bench, server: HttpServer) -> None:
    with bench.kit.lose():
        for url in ("/healthz", "/readyz"):
            reply = await server.call("GET", url)
            assert (reply.status, reply.json["code"]) == (503, "UNAVAILABLE")
    assert (await server.call("GET", "/healthz")).status == 200


async def test_cluster_of_one(bench: Bench, server: HttpServer) -> None:
    await bench.engine.nodes.beat()
    reply = await server.get("/cluster/status")
    mode = "cluster" if bench.store.is_shared else "single"
    assert (reply.json["mode"], reply.json["status"]) == (mode, "healthy")
    (node,) = reply.json["nodes"]
    assert (node["role"], node["version"]) == ("leader", __version__)


# CORS


async def test_cors_is_closed_unless_configured(server: HttpServer) -> None:
    headers = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    for reply in (
        await server.get("/info", headers=headers),
        await server.call("OPTIONS", "/api/v1/enqueue", headers=headers),
    ):
        assert not [name for name in reply.headers if name.startswith("access-control")]


async def test_cors_for_named_origins(bench: Bench) -> None:
    engine = Engine(bench.store, clock=bench.clock)
    async with serve(engine, cors_origins=["https://a.example"]) as server:
        headers = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
        preflight = await server.call("OPTIONS", "/api/v1/enqueue", headers=headers)
        assert preflight.status == 204
        assert preflight.headers["access-control-allow-origin"] == "https://a.example"
        allowed = preflight.headers["access-control-allow-headers"].split(", ")
        assert {"authorization", "content-type", "x-api-key"} <= set(allowed)
        assert "*" not in allowed
        assert "DELETE" in preflight.headers["access-control-allow-methods"]
        assert preflight.headers["vary"] == "origin"
        error = await server.get("/jobs/none", headers={"Origin": "https://a.example"})
        assert error.status == 404
        assert error.headers["access-control-allow-origin"] == "https://a.example"
        exposed = error.headers["access-control-expose-headers"]
        assert exposed == "location, retry-after, x-request-id"
        other = await server.get("/info", headers={"Origin": "https://b.example"})
        assert "access-control-allow-origin" not in other.headers
        none = await server.get("/info")
        assert "access-control-allow-origin" not in none.headers
        assert {reply.headers["vary"] for reply in (error, other, none)} == {"origin"}


async def test_cors_for_any_origin(bench: Bench) -> None:
    engine = Engine(bench.store, clock=bench.clock)
    async with serve(engine, cors_origins=["*"]) as server:
        reply = await server.get("/info", headers={"Origin": "https://b.example"})
        assert reply.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in reply.headers
        assert "vary" not in reply.headers
        plain = await server.call("OPTIONS", "/api/v1/enqueue")
        assert plain.status == 405


# The log of requests


@pytest.fixture
def log_stream() -> Iterator[io.StringIO]:
    """A stream that receives the log during the test."""
    root, sanic = logging.getLogger(), logging.getLogger("sanic")
    before = list(root.handlers), root.level, sanic.level
    stream = io.StringIO()
    logs.configure(logs.LogLevel.INFO, logs.LogFormat.JSON, stream)
    yield stream
    root.handlers = before[0]
    root.setLevel(before[1])
    sanic.setLevel(before[2])


def requests_in(stream: io.StringIO) -> list[dict[str, Any]]:
    lines = [orjson.loads(line) for line in stream.getvalue().splitlines()]
    return [line for line in lines if line["logger"] == "corvo_server.request"]


async def test_every_request_is_logged(bench: Bench, log_stream: io.StringIO) -> None:
    engine = Engine(bench.store, clock=bench.clock)
    async with serve(engine) as server:
        reply = await server.get("/info", headers={"X-Request-ID": "mine-9"})
        await server.raw(b"garbage\r\n\r\n")
    logged = requests_in(log_stream)  # servers of other tests may still write lines of theirs
    first = next(line for line in logged if line["request_id"] == "mine-9")
    second = logged[logged.index(first) + 1]
    assert (first["request_id"], first["method"], first["path"], first["status"]) == (
        "mine-9",
        "GET",
        "/api/v1/info",
        200,
    )
    assert (first["client"], first["bytes"]) == ("127.0.0.1", len(reply.body))
    assert 0 <= first["ms"] < 5_000
    assert second["status"] == 400


async def test_requests_are_not_logged_above_info(bench: Bench, log_stream: io.StringIO) -> None:
    logging.getLogger().setLevel(logging.WARNING)
    async with serve(Engine(bench.store, clock=bench.clock)) as server:
        await server.get("/info", headers={"X-Request-ID": "not-logged"})
    # Servers of other tests may still write the lines of their requests.
    assert "not-logged" not in log_stream.getvalue()


async def test_request_lines_are_written_soon() -> None:
    written: list[list[dict[str, object]]] = []
    access_log = AccessLog(written.append)
    app_request, app_response = one_exchange()
    access_log.add(app_request, app_response, 0.001)
    assert written == []
    await until(lambda: len(written) == 1)
    for _ in range(500):
        access_log.add(app_request, app_response, 0.001)
    assert [len(lines) for lines in written] == [1, 500]
    access_log.flush()
    assert len(written) == 2


def one_exchange() -> tuple[Any, Any]:
    """Return a request and its response, as observers get them."""
    request = SimpleNamespace(
        app=SimpleNamespace(ctx=SimpleNamespace(proxies=SimpleNamespace(networks=()))),
        ctx=SimpleNamespace(request_id="x"),
        method="GET",
        path="/",
        ip="1.2.3.4",
        stream=None,
    )
    return request, SimpleNamespace(status=200, body=b"ok")


# The description


async def test_openapi_describes_every_route_and_no_other(server: HttpServer) -> None:
    description = (await server.get("/openapi.json")).json
    assert description["openapi"].startswith("3.1")
    assert description["info"]["version"] == __version__
    described = {
        (method.upper(), path)
        for path, methods in description["paths"].items()
        for method in methods
    }
    served = {
        (endpoint.method, re.sub(r"<(\w+):\w+>", r"{\1}", endpoint.path))
        for resource in RESOURCES
        for endpoint in resource.endpoints
    }
    assert described == served
    for method, path in described:
        url = path.replace("{", "").replace("}", "")
        options = await server.call("OPTIONS", url)
        assert method in options.headers.get("allow", ""), path


async def test_openapi_references_are_complete(server: HttpServer) -> None:
    description = (await server.get("/openapi.json")).json
    operations = [
        operation for methods in description["paths"].values() for operation in methods.values()
    ]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    for operation in operations:
        assert operation["summary"].endswith("."), operation["operationId"]
        assert operation["responses"]
        for status in operation["responses"]:
            assert re.fullmatch(r"[1-5]\d\d", status)
    for path, methods in description["paths"].items():
        names = re.findall(r"{(\w+)}", path)
        for operation in methods.values():
            parameters = operation.get("parameters", [])
            in_path = [item["name"] for item in parameters if item["in"] == "path"]
            assert in_path == names, path
    text = orjson.dumps(description).decode()
    referred = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    schemas = description["components"]["schemas"]
    assert referred <= set(schemas)
    assert "ErrorReply" in referred


async def test_docs_page_shows_every_operation_and_schema(server: HttpServer) -> None:
    reply = await server.get("/docs")
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    page = reply.body.decode()
    description = (await server.get("/openapi.json")).json
    for path in description["paths"]:
        assert f"<code>{path}</code>" in page
    for name in description["components"]["schemas"]:
        assert f'id="{name}"' in page
    assert "http://" not in page  # it loads no external resources
    assert "https://" not in page.replace("https://json-schema", "")


async def test_metrics_are_text(server: HttpServer) -> None:
    reply = await server.get("/metrics")
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/plain")
    assert b"# TYPE" in reply.body


async def test_calls_of_one_connection_are_answered_in_order(server: HttpServer) -> None:
    connection = await server.connect()
    for _ in range(3):
        await connection.send(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n" * 2)
        for _ in range(2):
            assert (await asyncio.wait_for(connection.receive(), 5)).json == {"status": "ok"}
