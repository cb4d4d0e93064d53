"""Above a budget, new work is refused with a reason. What runs goes on, as does small work."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest
import pytest_asyncio

from corvo_schema.errors import ErrorCode
from corvo_schema.states import JobState
from corvo_server.engine.engine import Engine
from corvo_server.http import bounded, budgets
from server_support.bench import Bench, turns, until
from server_support.http import API, Connection, HttpServer, Reply, request, serve
from server_support.loop_time import LoopTime
from server_support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

MB = 1024 * 1024
LARGE = {"jobs": [{"queue": "large", "payload": "x" * 240_000} for _ in range(2)]}
"""A body of which the budget has room for one."""


@pytest_asyncio.fixture(loop_scope="module")
async def tight(bench: Bench) -> AsyncIterator[HttpServer]:
    """A server with small budgets."""
    async with serve(
        Engine(bench.store, clock=bench.clock),
        max_total_body_bytes=MB,
        max_unread_bytes=MB,
        max_connections=20,
        max_connections_per_address=15,
    ) as server:
        yield server


@pytest.fixture
def queue(request: pytest.FixtureRequest) -> str:
    """A queue of the test alone."""
    return re.sub("[^a-z]+", "-", request.node.name)


def metric(server: HttpServer, name: str, **labels: str) -> float:
    return server.engine.metrics.registry.get_sample_value(name, labels) or 0.0


def plain(body: object) -> bytes:
    """A request that takes the fast path."""
    return request("POST", f"{API}/enqueue/batch", body)


def strict(body: object) -> bytes:
    """A request that takes Sanic's path."""
    return request("POST", f"{API}/enqueue/batch?strict=true", body)


def chunked(body: object) -> bytes:
    """A request that does not say how long its body is."""
    data = orjson.dumps(body)
    pieces = [data[at : at + 50_000] for at in range(0, len(data), 50_000)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    head = request("POST", f"{API}/enqueue/batch", headers={"content-type": "application/json"})
    head = head.replace(b"content-length: 0", b"transfer-encoding: chunked")
    return head + chunks + b"0\r\n\r\n"


PATHS: list[Callable[[object], bytes]] = [plain, strict, chunked]


async def reply_of(connection: Connection) -> Reply:
    return await asyncio.wait_for(connection.receive(), 20)


def assert_overloaded(reply: Reply) -> None:
    assert reply.status == 429, reply
    assert reply.json["code"] == ErrorCode.OVERLOADED
    assert reply.headers["retry-after"] == "1"


async def hold_large_body(server: HttpServer, make: Callable[[object], bytes]) -> tuple[Any, bytes]:
    """Send a large body but for its last bytes. Return the connection and these bytes."""
    data = make(LARGE)
    connection = await server.connect()
    await connection.send(data[:-7])
    await until(lambda: metric(server, "corvo_body_bytes") > 400_000)
    return connection, data[-7:]


# Bodies


@pytest.mark.parametrize("make", PATHS)
async def test_large_body_without_room_is_refused_and_the_one_in_progress_is_served(
    tight: HttpServer, make: Callable[[object], bytes]
) -> None:
    first, rest = await hold_large_body(tight, make)
    second = await tight.connect()
    await second.send(make(LARGE))
    reply = await reply_of(second)
    assert_overloaded(reply)
    assert "--max-total-body-bytes" in reply.json["error"]
    await second.send(request("GET", f"{API}/info"))  # the rest of the body was dropped
    assert (await reply_of(second)).status == 200
    await first.send(rest)
    assert (await reply_of(first)).status == 201
    await second.send(make(LARGE))
    assert (await reply_of(second)).status == 201
    await until(lambda: metric(tight, "corvo_body_bytes") == 0)
    assert metric(tight, "corvo_refusals_total", budget="bodies") == 1


async def test_small_bodies_and_health_are_served_beside_large_ones(tight: HttpServer) -> None:
    await hold_large_body(tight, plain)
    data = plain({"jobs": [{"queue": "small", "payload": "x" * 50_000}]})
    small = await tight.connect()
    await small.send(data[:1000])
    await until(lambda: metric(tight, "corvo_body_bytes") > 500_000)
    await small.send(data[1000:])
    assert (await reply_of(small)).status == 201
    for path in ("/healthz", "/readyz", f"{API}/metrics"):
        assert (await tight.call("GET", path)).status == 200


async def test_many_small_bodies_are_bounded(tight: HttpServer) -> None:
    data = plain({"jobs": [{"queue": "small", "payload": "x" * 60_000}]})
    waiting = [await tight.connect() for _ in range(5)]
    for connection in waiting:
        await connection.send(data[:-1])
    assert_overloaded(await reply_of(waiting[-1]))
    assert metric(tight, "corvo_body_bytes") < MB / 4
    for connection in waiting[:-1]:
        await connection.send(data[-1:])
        assert (await reply_of(connection)).status == 201


async def test_client_that_disconnects_leaves_room(tight: HttpServer) -> None:
    connection, _ = await hold_large_body(tight, plain)
    connection.close()
    await until(lambda: metric(tight, "corvo_body_bytes") == 0)


async def test_slow_body_is_ended_when_another_has_no_room(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = LoopTime(monkeypatch)
    engine = Engine(bench.store, clock=bench.clock)
    async with serve(engine, max_total_body_bytes=MB) as server:
        slow, _ = await hold_large_body(server, plain)
        await time.forward(5)
        assert_overloaded(await server.post("/enqueue/batch", LARGE))
        await slow.send(b"x")
        await turns()
        await time.forward(6)
        assert_overloaded(await server.post("/enqueue/batch", LARGE))
        reply = await reply_of(slow)
        assert reply.status == 408
        assert "65536 bytes per second" in reply.json["error"]
        assert (await server.post("/enqueue/batch", LARGE)).status == 201


async def test_bytes_behind_a_waiting_request_are_bounded(tight: HttpServer, queue: str) -> None:
    fetch = request("POST", f"{API}/fetch", {"queues": [queue], "worker_id": "w", "timeout": 60})
    waiting = [await tight.connect() for _ in range(6)]
    for connection in waiting:
        await connection.send(fetch)
    await until(lambda: tight.engine.notifier.waiting == 6)
    for connection in waiting:
        connection.writer.write(plain(LARGE)[:60_000])
    await until(lambda: metric(tight, "corvo_refusals_total", budget="bodies") > 0)
    assert metric(tight, "corvo_body_bytes") <= MB / 4
    await until(lambda: tight.engine.notifier.waiting == len(tight.http.connections))
    tight.close()
    await until(lambda: metric(tight, "corvo_body_bytes") == 0)


async def test_burst_of_all_connections_is_served(
    tight: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "_BURST", 50_000)
    pauses: list[int] = []
    pause_all = bounded.BoundedProtocol._pause_all

    def pause(connection: bounded.BoundedProtocol) -> None:
        pauses.append(1)
        pause_all(connection)

    monkeypatch.setattr(bounded.BoundedProtocol, "_pause_all", pause)
    data = plain({"jobs": [{"queue": "burst", "payload": "x" * 50_000}]})
    connections = [await tight.connect() for _ in range(10)]
    for _ in range(3):
        for connection in connections:
            connection.writer.write(data)
        for connection in connections:
            assert (await reply_of(connection)).status in {201, 429}
    assert pauses


# Replies


async def hold_reply(bench: Bench, server: HttpServer, queue: str) -> tuple[Connection, list[str]]:
    """Make a client that does not read its reply of a megabyte."""
    job_ids = [await bench.enqueue(queue, payload="x" * 250_000) for _ in range(4)]
    connection = await server.connect(receive_bytes=4096)
    await connection.send(request("POST", f"{API}/jobs/bulk-get", {"job_ids": job_ids}))
    await until(lambda: metric(server, "corvo_unread_bytes") > 500_000)
    return connection, job_ids


async def test_large_reply_without_room_is_refused(
    bench: Bench, tight: HttpServer, queue: str
) -> None:
    unread, job_ids = await hold_reply(bench, tight, queue)
    for call in (
        tight.post("/jobs/bulk-get", {"job_ids": job_ids}),
        tight.post("/jobs/search", {"queue": queue}),
        tight.get(f"/jobs/{job_ids[0]}"),
    ):
        reply = await call
        assert_overloaded(reply)
        assert "--max-unread-bytes" in reply.json["error"]
    assert metric(tight, "corvo_refusals_total", budget="replies") == 3
    for path in ("/healthz", "/readyz", f"{API}/metrics", f"{API}/queues"):
        assert (await tight.call("GET", path)).status == 200
    assert (await tight.post("/enqueue", {"queue": queue})).status == 201
    assert (await reply_of(unread)).status == 200
    await until(lambda: metric(tight, "corvo_unread_bytes") == 0)
    assert (await tight.post("/jobs/bulk-get", {"job_ids": job_ids})).status == 200


@pytest.mark.parametrize("path", ["/fetch", "/fetch/batch", "/fetch?strict=true"])
async def test_fetched_jobs_without_room_for_their_reply_go_back(
    bench: Bench, tight: HttpServer, queue: str, path: str
) -> None:
    unread, job_ids = await hold_reply(bench, tight, queue)
    body = {"queues": [queue], "worker_id": "w", "timeout": 0}
    assert_overloaded(await tight.post(path, body))

    async def is_back() -> bool:
        return await bench.state(job_ids[0]) is JobState.PENDING

    await wait_until(is_back)
    assert (await bench.head(job_ids[0])).attempt == 0
    await reply_of(unread)
    fetched = await tight.post(path, body)
    assert fetched.status == 200
    assert job_ids[0].encode() in fetched.body


async def test_call_that_changed_something_is_answered(
    bench: Bench, tight: HttpServer, queue: str
) -> None:
    await hold_reply(bench, tight, queue)
    jobs = [{"queue": queue} for _ in range(1000)]
    reply = await tight.post("/enqueue/batch", {"jobs": jobs})
    assert reply.status == 201
    assert len(reply.body) > budgets.SMALL


async def test_client_that_disconnects_leaves_room_for_replies(
    bench: Bench, tight: HttpServer, queue: str
) -> None:
    unread, _ = await hold_reply(bench, tight, queue)
    unread.close()
    await until(lambda: metric(tight, "corvo_unread_bytes") == 0)


# Connections


async def test_connection_above_the_cap_of_an_address_gets_503(tight: HttpServer) -> None:
    open_ = [await tight.connect() for _ in range(15)]
    await until(lambda: metric(tight, "corvo_connections") == 15)
    for body in ({"queue": "q"}, None):
        reply = await tight.post("/enqueue", body)
        assert (reply.status, reply.json["code"]) == (503, ErrorCode.UNAVAILABLE)
        assert "--max-connections-per-address" in reply.json["error"]
        assert (reply.headers["retry-after"], reply.headers["connection"]) == ("1", "close")
    for path in ("/healthz", "/readyz", f"{API}/metrics"):
        assert (await tight.call("GET", path)).status == 200
    assert metric(tight, "corvo_refusals_total", budget="address") == 2
    open_[0].close()
    await until(lambda: metric(tight, "corvo_connections") < 15)
    assert (await tight.post("/enqueue", {"queue": "q"})).status == 201


async def test_connection_above_the_cap_of_all_gets_503(bench: Bench) -> None:
    engine = Engine(bench.store, clock=bench.clock)
    async with serve(engine, max_connections=3, max_connections_per_address=0) as server:
        kept = await server.connect()
        await kept.send(request("GET", f"{API}/info"))
        assert (await reply_of(kept)).status == 200
        for _ in range(2):
            await server.connect()
        await until(lambda: metric(server, "corvo_connections") == 3)
        reply = await server.post("/enqueue", {"queue": "q"})
        assert reply.status == 503
        assert "(--max-connections)" in reply.json["error"]
        await kept.send(request("GET", f"{API}/info"))
        assert (await reply_of(kept)).status == 200


async def test_connections_far_above_the_cap_are_closed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "RESERVED_CONNECTIONS", 2)
    engine = Engine(bench.store, clock=bench.clock)
    async with serve(engine, max_connections=1) as server:
        for _ in range(3):
            await server.connect()
        await until(lambda: metric(server, "corvo_connections") == 3)
        last = await server.connect()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reply_of(last)
        assert metric(server, "corvo_refusals_total", budget="connections") == 1
    await until(lambda: metric(server, "corvo_connections") == 0)


async def test_refusals_are_logged_once_a_minute(
    tight: HttpServer, caplog: pytest.LogCaptureFixture
) -> None:
    await hold_large_body(tight, plain)
    for _ in range(3):
        assert_overloaded(await tight.post("/enqueue/batch", LARGE))
    logged = [line for line in caplog.messages if line.startswith("overloaded: ")]
    assert len(logged) == 1
