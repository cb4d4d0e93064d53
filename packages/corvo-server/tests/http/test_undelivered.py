"""Jobs of a fetch go back at once if the client does not receive the reply."""

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from corvo_schema.states import EventType, JobState
from corvo_server.engine.engine import Engine
from corvo_server.http import connection as connection_module
from server_support.bench import Bench, until
from server_support.http import API, HttpServer, request, serve
from server_support.loop_time import LoopTime
from server_support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

LARGE = "x" * 250_000
"""A payload that no small receive buffer can hold."""
NOT_DELIVERED = (EventType.RELEASED, {"reason": "not delivered to the worker"})


class Client:
    """A connection with a small receive buffer. It reads only when it is told to."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link

    @classmethod
    async def connect(cls, server: HttpServer) -> "Client":
        link = socket.socket()
        link.setblocking(False)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await asyncio.get_running_loop().sock_connect(link, (server.host, server.port))
        return cls(link)

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._link, data)

    async def read(self, size: int) -> bytes:
        """Return so many bytes; fewer at the end."""
        data = b""
        while len(data) < size:
            piece = await asyncio.get_running_loop().sock_recv(self._link, size - len(data))
            if not piece:
                break
            data += piece
        return data

    async def reply(self, data: bytes) -> bytes:
        """Return the body of a reply that begins with `data`, reading it in small pieces."""
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += await self.read(min(3000, length - len(body)))
        return body

    def end_sending(self) -> None:
        self._link.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Break the connection, as when the machine was cut off."""
        self._link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._link.close()

    def close(self) -> None:
        self._link.close()


@pytest_asyncio.fixture(loop_scope="module")
async def client(server: HttpServer) -> AsyncIterator[Client]:
    client = await Client.connect(server)
    yield client
    client.close()


@pytest.fixture
def queue(request: pytest.FixtureRequest) -> str:
    """A queue of the test alone."""
    return re.sub("[^a-z]+", "-", request.node.name)


def fetch(queue: str, path: str = "/fetch", **fields: object) -> bytes:
    body = {"queues": [queue], "worker_id": "w", "timeout": 0, **fields}
    return request("POST", API + path, body)


def without_keep_alive(data: bytes) -> bytes:
    return data.replace(b"host: ", b"connection: close\r\nhost: ", 1)


async def has_state(bench: Bench, job_id: str, state: JobState) -> None:
    """Wait until the job has a state."""

    async def has() -> bool:
        return await bench.state(job_id) is state

    await wait_until(has)


@pytest.mark.parametrize("change", [bytes, without_keep_alive])
@pytest.mark.parametrize("path", ["/fetch", "/fetch/batch", "/fetch?strict=true"])
async def test_job_goes_back_when_the_connection_breaks(
    bench: Bench, client: Client, queue: str, path: str, change: Callable[[bytes], bytes]
) -> None:
    job_id = await bench.enqueue(queue, payload=LARGE, max_retries=0)
    await client.send(change(fetch(queue, path)))
    assert b" 200 OK" in await client.read(100)
    assert await bench.state(job_id) is JobState.ACTIVE
    client.reset()
    await has_state(bench, job_id, JobState.PENDING)
    assert (await bench.head(job_id)).attempt == 0
    assert await bench.last_event(job_id) == NOT_DELIVERED
    await bench.engine.jobs.cancel(job_id)


async def test_only_jobs_that_were_not_received_go_back(
    bench: Bench, client: Client, queue: str
) -> None:
    first = await bench.enqueue(queue)
    others = [await bench.enqueue(queue, payload=LARGE) for _ in range(3)]
    await client.send(fetch(queue))
    await client.reply(await client.read(220))
    # Pipelined: the reply to the last one still waits for its turn.
    await client.send(fetch(queue, "/fetch/batch", count=2) + fetch(queue))
    assert b" 200 OK" in await client.read(100)
    for job_id in others:
        await has_state(bench, job_id, JobState.ACTIVE)
    await client.read(1000)
    client.reset()
    for job_id in others:
        await has_state(bench, job_id, JobState.PENDING)
        assert await bench.last_event(job_id) == NOT_DELIVERED
        await bench.engine.jobs.cancel(job_id)
    assert await bench.state(first) is JobState.ACTIVE


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("change", [bytes, without_keep_alive])
async def test_job_stays_with_a_client_that_receives_it_slowly(
    bench: Bench,
    server: HttpServer,
    client: Client,
    queue: str,
    change: Callable[[bytes], bytes],
    ends: bool,
) -> None:
    job_id = await bench.enqueue(queue, payload=LARGE)
    await client.send(change(fetch(queue)))
    data = await client.read(220)
    if ends:
        client.end_sending()
    assert LARGE.encode() in await client.reply(data)
    if ends or change is without_keep_alive:
        assert await client.read(1) == b""
    client.close()
    await until(lambda: not server.http.connections)
    await bench.settle()
    assert await bench.state(job_id) is JobState.ACTIVE


async def test_client_that_never_reads_is_cut_off(
    bench: Bench, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = LoopTime(monkeypatch)
    job_id = await bench.enqueue(queue, payload=LARGE)
    async with serve(Engine(bench.store, clock=bench.clock)) as server:
        for data in (fetch(queue), without_keep_alive(fetch(queue))):
            client = await Client.connect(server)
            await client.send(data)
            await has_state(bench, job_id, JobState.ACTIVE)
            await client.read(100)
            for _ in range(9):
                await time.forward(10)
            await has_state(bench, job_id, JobState.PENDING)
            assert await bench.last_event(job_id) == NOT_DELIVERED
            client.close()
    await bench.engine.jobs.cancel(job_id)


async def test_slow_reader_that_progresses_is_not_cut_off(
    bench: Bench, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = LoopTime(monkeypatch)
    await bench.enqueue(queue, payload=LARGE)
    async with serve(Engine(bench.store, clock=bench.clock)) as server:
        client = await Client.connect(server)
        await client.send(without_keep_alive(fetch(queue)))
        data = b""
        while piece := await client.read(10_000):
            data += piece
            for _ in range(4):
                await time.forward(10)
        assert LARGE.encode() in data
        client.close()


@pytest.mark.parametrize("is_large", [False, True])
async def test_job_of_an_unfinished_reply_goes_back_where_the_kernel_does_not_tell(
    bench: Bench,
    server: HttpServer,
    client: Client,
    queue: str,
    is_large: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_module, "read_tcp_info", lambda _: None)
    # More than the kernel buffers, and less.
    size, payload = (20, LARGE) if is_large else (1, "x" * 20_000)
    jobs = [await bench.enqueue(queue, payload=payload) for _ in range(size)]
    await client.send(fetch(queue, "/fetch/batch", count=size))
    await client.read(100)
    client.reset()
    await until(lambda: not server.http.connections)
    await bench.settle()
    if is_large:
        for job_id in jobs:
            await has_state(bench, job_id, JobState.PENDING)
            await bench.engine.jobs.cancel(job_id)
    else:
        assert await bench.state(jobs[0]) is JobState.ACTIVE
