"""A client may shut down its sending side after a request, and still gets the reply."""

import asyncio

import pytest

from corvo_schema.states import JobState
from server_support.bench import Bench, until
from server_support.http import API, Connection, HttpServer, request

pytestmark = pytest.mark.asyncio(loop_scope="module")


def fetch(queue: str, timeout: float) -> bytes:
    body = {"queues": [queue], "worker_id": "w", "timeout": timeout}
    return request("POST", f"{API}/fetch", body)


async def half_closed(server: HttpServer, data: bytes) -> Connection:
    """Send the bytes on a new connection, and then shut down its sending side."""
    connection = await server.connect()
    connection.writer.write(data)
    connection.writer.write_eof()
    return connection


async def answered(connection: Connection, *statuses: int) -> None:
    """Check that the server sends replies with these statuses, and then closes the connection."""
    for status in statuses:
        reply = await asyncio.wait_for(connection.receive(), 10)
        assert reply.status == status, reply.body
    assert await asyncio.wait_for(connection.at_end(), 10)
    connection.close()


ENQUEUE = request("POST", f"{API}/enqueue", {"queue": "half"})
STRICT = request("POST", f"{API}/enqueue?strict=true", {"queue": "half"})
GET = request("GET", f"{API}/info")


@pytest.mark.parametrize(
    ("data", "statuses"),
    [
        (ENQUEUE, [201]),
        (STRICT, [201]),
        (GET, [200]),
        (request("GET", "/healthz"), [200]),
        (request("GET", "/nowhere"), [404]),
        (ENQUEUE + STRICT + GET + ENQUEUE, [201, 201, 200, 201]),
        (GET + b"\r\n", [200]),
        (ENQUEUE[:-1], [400]),
        (STRICT[:-1], [400]),
        (GET[:-1], [400]),
        (GET + b"GET", [200, 400]),
        (b"", []),
        (b"\r\n", []),
        (fetch("no-jobs", 0), [204]),
        (fetch("no-jobs", 30), [204]),
    ],
)
async def test_half_closed_request_is_answered(
    server: HttpServer, data: bytes, statuses: list[int]
) -> None:
    await answered(await half_closed(server, data), *statuses)


async def test_request_is_answered_if_its_client_ends_later(
    bench: Bench, server: HttpServer
) -> None:
    connection = await server.connect()
    await connection.send(GET)
    assert (await connection.receive()).status == 200
    connection.writer.write_eof()
    assert await asyncio.wait_for(connection.at_end(), 10)


@pytest.mark.parametrize("seconds", [0, 30])
async def test_fetch_takes_no_job_for_a_client_that_has_ended(
    bench: Bench, server: HttpServer, seconds: float
) -> None:
    job_id = await bench.enqueue("half-fetch")
    connection = await server.connect()
    # The reply to the first request shows that the server has seen the end before the fetch.
    connection.writer.write(GET + fetch("half-fetch", seconds))
    connection.writer.write_eof()
    await answered(connection, 200, 204)
    await until(lambda: bench.store.backlog == 0)
    assert await bench.state(job_id) is JobState.PENDING
    await bench.engine.jobs.cancel(job_id)


async def test_waiting_fetch_ends_without_a_job(bench: Bench, server: HttpServer) -> None:
    connection = await server.connect()
    await connection.send(fetch("half-wait", 30))
    await until(lambda: bench.engine.notifier.waiting == 1 and bench.store.backlog == 0)
    connection.writer.write_eof()
    await answered(connection, 204)
    assert bench.engine.notifier.waiting == 0
    assert await bench.state(await bench.enqueue("half-wait")) is JobState.PENDING


async def test_event_stream_ends_with_its_client(server: HttpServer) -> None:
    connection = await server.connect()
    await connection.send(request("GET", f"{API}/events"))
    await connection.reader.readuntil(b": following")
    connection.writer.write_eof()
    await asyncio.wait_for(connection.reader.read(), 10)
    connection = await half_closed(server, request("GET", f"{API}/events"))
    assert b": following" in await asyncio.wait_for(connection.reader.read(), 10)
