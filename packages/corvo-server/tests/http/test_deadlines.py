"""A client must send its requests in time, and take its replies. Tests move the loop's time."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from corvo_schema.errors import ErrorCode
from corvo_server.engine.engine import Engine
from corvo_server.http.bounded import BoundedProtocol
from corvo_server.http.deadlines import Deadlines, Patience
from server_support.bench import Bench, turns, until
from server_support.http import API, Connection, HttpServer, Reply, request, serve
from server_support.loop_time import LoopTime

pytestmark = pytest.mark.asyncio(loop_scope="module")

GET = request("GET", f"{API}/info")
ENQUEUE = request("POST", f"{API}/enqueue", {"queue": "slow"})
STRICT = request("POST", f"{API}/enqueue?strict=true", {"queue": "slow"})
CHUNKED = (
    b"POST /api/v1/enqueue HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
HEADS = (b"P", ENQUEUE[:60], GET[:-1], b"\r\nGET / HTTP/1.1\r\n", GET + GET[:-3], b"\0\xff" * 9)
BODIES = (
    ENQUEUE[:-1],
    STRICT[:-1],
    CHUNKED,
    CHUNKED + b"5",
    CHUNKED + b"5\r\n{",
    CHUNKED + b"2\r\n{}\r\n0\r\nx-trailer: 1\r\n",
    request("POST", f"{API}/queues/slow/pause", {"a": 1})[:-1],
)


class Time(LoopTime):
    """The time of the running loop, and the bytes that the server has received."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch)
        self._received = 0
        receive = BoundedProtocol.data_received

        def count(protocol: BoundedProtocol, data: bytes) -> None:
            self._received += len(data)
            receive(protocol, data)

        monkeypatch.setattr(BoundedProtocol, "data_received", count)

    async def send(self, connection: Connection, data: bytes) -> None:
        """Send bytes, and return when the server has read them and waits for more."""
        expected = self._received + len(data)
        await connection.send(data)
        await until(lambda: self._received >= expected)
        await turns()


@pytest_asyncio.fixture(loop_scope="module")
async def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


@pytest_asyncio.fixture(loop_scope="module")
async def slow(bench: Bench, time: Time) -> AsyncIterator[HttpServer]:
    """A server whose connections live in `time`."""
    async with serve(Engine(bench.store, clock=bench.clock)) as server:
        yield server


async def refused(connection: Connection) -> Reply:
    """Check that the connection gets 408 as its next reply, and ends."""
    reply = await connection.receive()
    assert reply.status == 408, reply
    assert reply.json["code"] == ErrorCode.REQUEST_TIMEOUT
    assert reply.json["request_id"] == reply.headers["x-request-id"]
    assert reply.headers["connection"] == "close"
    assert await connection.at_end()
    return reply


@pytest.mark.parametrize("head", HEADS)
async def test_slow_head_is_refused(slow: HttpServer, time: Time, head: bytes) -> None:
    connection = await slow.connect()
    await time.send(connection, head)
    for _ in range(9):
        await time.forward(1)
        await time.send(connection, b"x")
    assert not connection.reader.at_eof()
    await time.forward(1.1)
    if head.startswith(GET):
        assert (await connection.receive()).status == 200
    reply = await refused(connection)
    assert "head was not complete within 10 s" in reply.json["error"]


@pytest.mark.parametrize("data", BODIES)
async def test_slow_body_is_refused(
    bench: Bench, slow: HttpServer, time: Time, data: bytes
) -> None:
    before = [await bench.store.list_queues()]
    connection = await slow.connect()
    await time.send(connection, data)
    await time.forward(9.5)
    assert not connection.reader.at_eof()
    await time.forward(0.6)
    reply = await refused(connection)
    assert "at least 1024 bytes per second" in reply.json["error"]
    assert [await bench.store.list_queues()] == before


@pytest.mark.parametrize("head", [ENQUEUE, STRICT, request("POST", "/nowhere", b"")])
async def test_dripping_body_is_refused(slow: HttpServer, time: Time, head: bytes) -> None:
    connection = await slow.connect()
    head = head.partition(b"content-length")[0] + b"content-length: 100000\r\n\r\n"
    await time.send(connection, head)
    for _ in range(9):
        await time.forward(1)
        await time.send(connection, b" " * 10)
    await time.forward(1.1)
    if b"/nowhere" in head:  # answered before the body
        assert (await connection.receive()).status == 404
        assert await connection.at_end()
    else:
        await refused(connection)


@pytest.mark.parametrize("is_strict", [False, True])
async def test_slow_upload_that_progresses_is_served(
    slow: HttpServer, time: Time, is_strict: bool
) -> None:
    body = b'{"queue":"slow","payload":"%b"}' % (b"x" * 200_000)
    data = request("POST", f"{API}/enqueue{'?strict=true' if is_strict else ''}", body)
    connection = await slow.connect()
    for start in range(0, len(data), 4096):  # for 147 s
        await time.send(connection, data[start : start + 4096])
        await time.forward(3)
    assert (await connection.receive()).status == 201
    await time.forward(119)
    await time.send(connection, GET)
    assert (await connection.receive()).status == 200


async def test_time_starts_anew_with_each_request(slow: HttpServer, time: Time) -> None:
    connection = await slow.connect()
    for data in (ENQUEUE, STRICT, GET, ENQUEUE, ENQUEUE):
        for cut in (30, len(data) - 1):
            await time.send(connection, data[:cut])
            await time.forward(8)
            await time.send(connection, data[cut:])
            assert (await connection.receive()).status in {200, 201}
            await time.forward(100)


async def test_connection_without_a_request_is_closed(slow: HttpServer, time: Time) -> None:
    silent, served = await slow.connect(), await slow.connect()
    await time.send(served, GET)
    assert (await served.receive()).status == 200
    await time.forward(10.1)
    assert await silent.at_end()
    await time.send(served, GET)
    assert (await served.receive()).status == 200


async def test_blank_lines_do_not_keep_a_connection_open(slow: HttpServer, time: Time) -> None:
    connection = await slow.connect()
    await time.send(connection, GET)
    assert (await connection.receive()).status == 200
    for _ in range(11):
        await time.send(connection, b"\r\n")
        await time.forward(10)
    assert not connection.reader.at_eof()
    await time.send(connection, GET)
    assert (await connection.receive()).status == 200
    for _ in range(11):
        await time.send(connection, b"\r\n")
        await time.forward(10.5)
    await time.forward(5)
    assert await connection.at_end()


async def test_waiting_fetch_is_not_slow(slow: HttpServer, time: Time) -> None:
    connection = await slow.connect()
    body = {"queues": ["slow-fetch"], "worker_id": "w", "timeout": 60}
    await time.send(connection, request("POST", f"{API}/fetch", body))
    await time.forward(50)
    assert slow.engine.notifier.waiting == 1
    await slow.post("/enqueue", {"queue": "slow-fetch"})
    assert (await connection.receive()).status == 200


async def test_time_of_a_body_cannot_be_saved() -> None:
    patience = Patience(Deadlines(body=10, rate=1000))
    patience.start_body()
    patience.spend(9, 8_000_000)
    assert patience.left == 10
    patience.spend(9.5, 100)
    assert patience.left == pytest.approx(0.6)
    patience.spend(2, 0)
    assert patience.left == 0
