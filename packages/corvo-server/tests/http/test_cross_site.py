"""Web pages of other sites cannot change anything, whatever their requests look like."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from corvo_server.engine.engine import Engine
from server_support.bench import Bench
from server_support.http import API, HttpServer, Reply, serve

pytestmark = pytest.mark.asyncio(loop_scope="module")

FOREIGN = {"origin": "https://evil.example"}
CALLS = [
    ("POST", "/enqueue"),
    ("POST", "/queues/kept/pause"),
    ("POST", "/queues/kept/drain"),
    ("POST", "/queues/kept/clear?confirm=true"),
    ("DELETE", "/queues/kept?confirm=true"),
    ("DELETE", "/queues/kept/throttle"),
    ("POST", "/jobs/none/cancel"),
    ("POST", "/jobs/none/retry"),
    ("POST", "/fetch"),
    ("POST", "/ack/none"),
    ("POST", "/schedules/none/run"),
    ("PUT", "/schedules/none"),
    ("POST", "/nowhere"),
    ("BREW", "/enqueue"),
]
FORMS = ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def choosy(bench: Bench) -> AsyncIterator[HttpServer]:
    """A server whose API the web pages of one other origin may call."""
    engine = Engine(bench.store, clock=bench.clock)
    async with serve(engine, cors_origins=["https://a.example"]) as server:
        yield server


@pytest_asyncio.fixture(autouse=True, scope="module", loop_scope="module")
async def _queue(bench: Bench) -> None:
    """A queue with a job, so that a refused call would find something to change."""
    await bench.enqueue("kept")


def is_refused(reply: Reply) -> bool:
    """Return whether a reply is the refusal of a web page, with advice."""
    return (
        reply.status == 403
        and reply.json["code"] == "FORBIDDEN"
        and "--cors-origins" in reply.json["error"]
    )


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize(
    "headers",
    [
        FOREIGN,
        {"origin": "null"},
        {"origin": ""},
        {"sec-fetch-site": "cross-site"},
        {**FOREIGN, "sec-fetch-site": "cross-site"},
        {**FOREIGN, "content-type": FORMS[0]},
        {**FOREIGN, "content-type": "application/json"},
        {"sec-fetch-site": "Cross-Site "},
    ],
)
async def test_other_sites_change_nothing(
    bench: Bench, server: HttpServer, method: str, path: str, headers: dict[str, str]
) -> None:
    before = await bench.queue("kept")
    for body in (None, {"queue": "kept", "queues": ["kept"], "worker_id": "w", "timeout": 0}):
        reply = await server.call(method, API + path, body, headers=headers)
        assert is_refused(reply), reply
    assert await bench.queue("kept") == before


@pytest.mark.parametrize(
    "origin",
    [
        "http://{host}.evil.example",
        "http://{host}@evil.example",
        "http://{name}:1",
        "http://{name}",
        "ftp://{host}",
        "{host}",
        "http://localhost.evil.example",
    ],
)
async def test_similar_origins_are_foreign(server: HttpServer, origin: str) -> None:
    host = f"{server.host}:{server.port}"
    headers = {"host": host, "origin": origin.format(host=host, name=server.host)}
    assert is_refused(await server.post("/enqueue", {"queue": "q"}, headers=headers))


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8080", "http://localhost:8080"),
        ("LocalHost:8080", "HTTP://LOCALHOST:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("localhost", "http://localhost"),
        ("localhost:80", "http://localhost"),
        ("localhost", "https://localhost"),
        ("localhost:443", "https://localhost"),
    ],
)
async def test_pages_of_the_server_may_call_it(server: HttpServer, host: str, origin: str) -> None:
    headers = {"host": host, "origin": origin, "sec-fetch-site": "same-origin"}
    assert (await server.post("/enqueue", {"queue": "own"}, headers=headers)).status == 201


@pytest.mark.parametrize("site", ["same-origin", "none", "same-site"])
async def test_other_values_of_sec_fetch_site_are_accepted(server: HttpServer, site: str) -> None:
    headers = {"sec-fetch-site": site}
    assert (await server.post("/enqueue", {"queue": "own"}, headers=headers)).status == 201


async def test_reads_are_not_refused(server: HttpServer) -> None:
    headers = {**FOREIGN, "sec-fetch-site": "cross-site"}
    assert (await server.get("/info", headers=headers)).status == 200
    assert (await server.call("HEAD", "/healthz", headers=headers)).status == 200
    options = await server.call("OPTIONS", f"{API}/enqueue", headers=headers)
    assert options.status == 405


async def test_allowed_origins_may_call(choosy: HttpServer) -> None:
    headers = {"origin": "https://a.example", "sec-fetch-site": "cross-site"}
    assert (await choosy.post("/enqueue", {"queue": "own"}, headers=headers)).status == 201
    assert is_refused(await choosy.post("/enqueue", {"queue": "own"}, headers=FOREIGN))
    both = {"origin": "https://a.example, https://evil.example"}
    assert is_refused(await choosy.post("/enqueue", {"queue": "own"}, headers=both))


async def test_any_origin_may_call_an_open_server(bench: Bench) -> None:
    async with serve(Engine(bench.store, clock=bench.clock), cors_origins=["*"]) as server:
        for headers in (FOREIGN, {"origin": "null"}, {**FOREIGN, "sec-fetch-site": "cross-site"}):
            reply = await server.post("/enqueue", {"queue": "own"}, headers=headers)
            assert reply.status == 201


@pytest.mark.parametrize("declared", FORMS)
@pytest.mark.parametrize(("method", "path"), CALLS[:-2])
async def test_forms_are_refused_also_without_a_body(
    bench: Bench, server: HttpServer, method: str, path: str, declared: str
) -> None:
    before = await bench.queue("kept")
    for body in (None, b"", b"a=b"):
        reply = await server.call(method, API + path, body, headers={"content-type": declared})
        assert (reply.status, reply.json["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
        assert "application/json" in reply.json["error"]
    assert await bench.queue("kept") == before


@pytest.mark.parametrize(
    "headers", [{}, {"content-type": "application/json"}, {"content-type": ""}]
)
async def test_calls_without_a_body_need_no_media_type(
    server: HttpServer, headers: dict[str, str]
) -> None:
    reply = await server.call("POST", f"{API}/queues/kept/pause", headers=headers)
    assert reply.status == 200
    reply = await server.call("POST", f"{API}/queues/kept/resume", headers=headers)
    assert reply.status == 200
    reply = await server.call("POST", f"{API}/ack/none", headers=headers)
    assert reply.status == 404


async def test_every_origin_of_a_request_counts(server: HttpServer) -> None:
    own = f"{server.host}:{server.port}"
    lines = f"host: {own}\r\norigin: http://{own}\r\norigin: https://evil.example\r\n"
    head = f"POST {API}/queues/kept/pause HTTP/1.1\r\n{lines}content-length: 0\r\n\r\n"
    assert is_refused(await server.raw(head.encode()))


async def test_refusal_is_counted_and_logged_like_any_reply(
    bench: Bench, server: HttpServer
) -> None:
    headers: dict[str, Any] = {**FOREIGN, "x-request-id": "page-1"}
    reply = await server.post("/enqueue", {"queue": "q"}, headers=headers)
    assert reply.headers["x-request-id"] == reply.json["request_id"] == "page-1"
    assert 'status="403"' in (await server.call("GET", f"{API}/metrics")).body.decode()
