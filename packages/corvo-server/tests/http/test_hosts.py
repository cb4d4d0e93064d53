"""DNS rebinding: a local server answers only to names that a web page cannot take."""

from collections.abc import AsyncIterator
from contextlib import nullcontext

import pytest
import pytest_asyncio

from corvo_server.engine.engine import Engine
from corvo_server.engine.errors import CallError
from corvo_server.http.hosts import Hosts
from server_support.bench import Bench
from server_support.http import API, HttpServer, Reply, serve

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANY = "0.0.0.0"  # noqa: S104 - the tests do not bind to it
LOCAL = [
    "localhost",
    "localhost:8080",
    "LOCALHOST:1",
    "localhost.",
    "localhost:",
    "app.localhost:8080",
    "127.0.0.1",
    "127.0.0.1:8080",
    "127.9.9.9",
    "[::1]",
    "[::1]:8080",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "",
]
OTHER = [
    "evil.example",
    "evil.example:8080",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "evillocalhost",
    "localhost@evil.example",
    "evil.example/localhost",
    "evil.example:80:localhost",
    "localhost, evil.example",
    ANY,
    "10.0.0.1:8080",
    "192.168.1.4",
    "[::2]:8080",
    "[::1",
    "::1",
    "127.1",
    "2130706433",
    "b\xfccher.example",
    "localhost:8080x",
    ".",
    ":8080",
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def named(bench: Bench) -> AsyncIterator[HttpServer]:
    """A server with names of its own."""
    engine = Engine(bench.store, clock=bench.clock)
    async with serve(engine, allowed_hosts="Corvo.internal,10.1.2.3,[fd00::1]") as server:
        yield server


def is_refused(reply: Reply) -> bool:
    """Return whether a reply is the refusal of a host, with advice."""
    return (
        reply.status == 403
        and reply.json["code"] == "FORBIDDEN"
        and "--allowed-host" in reply.json["error"]
    )


@pytest.mark.parametrize("host", LOCAL)
async def test_local_names_are_served(server: HttpServer, host: str) -> None:
    for _ in range(2):  # the second time from the table of known hosts
        reply = await server.post("/enqueue", {"queue": "q"}, headers={"host": host})
        assert reply.status == 201
    assert (await server.get("/info", headers={"host": host})).status == 200


@pytest.mark.parametrize("host", OTHER)
async def test_other_names_are_refused(bench: Bench, server: HttpServer, host: str) -> None:
    for _ in range(2):
        for path, body in (("/enqueue", {"queue": "rebound"}), ("/fetch", {}), ("/nowhere", {})):
            assert is_refused(await server.post(path, body, headers={"host": host}))
        for url in (f"{API}/jobs/none", f"{API}/events", f"{API}/metrics", "/healthz", "/"):
            assert is_refused(await server.call("GET", url, headers={"host": host}))
        preflight = {"host": host, "access-control-request-method": "POST", "origin": "http://x"}
        assert is_refused(await server.call("OPTIONS", f"{API}/enqueue", headers=preflight))
    assert "rebound" not in [queue.name for queue in await bench.engine.queues.list()]


async def test_message_names_the_host(server: HttpServer) -> None:
    reply = await server.get("/info", headers={"host": "evil.example:8080"})
    assert "'evil.example:8080'" in reply.json["error"]
    assert "--allowed-host evil.example" in reply.json["error"]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_request_without_a_host_is_served(server: HttpServer, version: str) -> None:
    reply = await server.raw(f"GET /healthz HTTP/{version}\r\n\r\n".encode())
    assert reply.status == 200
    body = b'{"queue": "q"}'
    head = f"POST {API}/enqueue HTTP/{version}\r\ncontent-type: application/json\r\n"
    reply = await server.raw(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    assert reply.status == 201


async def test_every_host_of_a_request_counts(server: HttpServer) -> None:
    lines = "host: localhost\r\nhost: evil.example\r\n\r\n"
    assert (await server.raw(f"GET /healthz HTTP/1.1\r\n{lines}".encode())).status == 400
    assert is_refused(
        await server.raw(b"GET http://evil.example/healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
    )
    reply = await server.raw(b"GET http://localhost/healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert reply.status == 200


@pytest.mark.parametrize(
    "host", ["corvo.internal", "CORVO.internal:80", "10.1.2.3", "[fd00::1]:1", *LOCAL]
)
async def test_allowed_hosts_are_served(named: HttpServer, host: str) -> None:
    assert (await named.post("/enqueue", {"queue": "q"}, headers={"host": host})).status == 201


@pytest.mark.parametrize("host", ["evil.example", "a.corvo.internal", "10.1.2.4", "internal"])
async def test_hosts_that_are_not_allowed_are_refused(named: HttpServer, host: str) -> None:
    assert is_refused(await named.post("/enqueue", {"queue": "q"}, headers={"host": host}))


async def test_star_allows_every_host(bench: Bench) -> None:
    async with serve(Engine(bench.store, clock=bench.clock), allowed_hosts="x,*") as server:
        for host in OTHER:
            reply = await server.post("/enqueue", {"queue": "q"}, headers={"host": host})
            assert reply.status == 201


async def test_any_cors_origin_does_not_allow_any_host(bench: Bench) -> None:
    async with serve(Engine(bench.store, clock=bench.clock), cors_origins=["*"]) as server:
        headers = {"host": "evil.example", "access-control-request-method": "POST"}
        assert is_refused(await server.call("OPTIONS", f"{API}/enqueue", headers=headers))
        assert is_refused(await server.get("/info", headers=headers))


async def test_known_hosts_do_not_grow_without_bound() -> None:
    hosts = Hosts("127.0.0.1", [])
    for number in range(1500):
        hosts.check([f"a{number}.localhost"], "127.0.0.1")
    assert len(hosts.known) <= 1000


@pytest.mark.parametrize(
    ("bind", "names", "host", "is_served"),
    [
        (ANY, [], "evil.example", True),
        ("::", [], "evil.example", True),
        ("0", [], "evil.example", True),
        ("10.9.8.7", [], "evil.example", True),
        ("127.0.0.1", [], "evil.example", False),
        ("127.0.0.2", [], "evil.example", False),
        ("127.1", [], "evil.example", False),
        ("::1", [], "evil.example", False),
        ("localhost", [], "evil.example", False),
        (ANY, ["corvo"], "evil.example", False),
        (ANY, ["corvo"], "corvo:8080", True),
        (ANY, ["corvo"], "localhost", True),
        (ANY, ["corvo"], "10.9.8.7:8080", True),
        (ANY, ["corvo"], "10.9.8.8:8080", False),
        ("10.9.8.7", ["corvo"], "10.9.8.7", True),
        (ANY, ["*"], "evil.example", True),
    ],
)
async def test_hosts_depend_on_the_bind_address(
    bind: str, names: list[str], host: str, *, is_served: bool
) -> None:
    """The connection arrives at 10.9.8.7, an address of the machine."""
    hosts = Hosts(bind, names)
    with nullcontext() if is_served else pytest.raises(CallError):
        hosts.check([host], "10.9.8.7")
    assert (host in hosts.known) is is_served
