"""An event stream that its viewer does not read ends, and holds nothing that grows meanwhile."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import orjson
import pytest

from corvo_schema import BulkRequest
from corvo_server import http_server
from corvo_server.http import bulk as bulk_module
from corvo_server.http import event_stream as module
from corvo_server.http_server import drain
from corvo_server.store.bulk import BulkRecord
from server_support.bench import Bench, until
from server_support.http import API, Connection, HttpServer, request, serve

LARGE = {"message": "x" * 60_000}
ENDLESS = 3600.0


@pytest.fixture
async def server(bench: Bench) -> AsyncIterator[HttpServer]:
    """An HTTP server of this test alone, whose event streams wait long for their viewers."""
    async with serve(bench.engine) as server:
        yield server


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_UNREAD_SECONDS", ENDLESS)


async def follow(server: HttpServer, path: str) -> Connection:
    """Open a stream with a small receive buffer, and read nothing but the head of the reply."""
    connection = await server.connect(receive_bytes=4096)
    await connection.send(request("GET", API + path))
    head = await asyncio.wait_for(connection.reader.readuntil(b"\r\n\r\n"), 10)
    assert b"text/event-stream" in head
    return connection


def unread(server: HttpServer) -> list[int]:
    """Return the bytes that the transport of each stream holds, if its stream waits."""
    return [
        connection.transport.get_write_buffer_size()
        for connection in server.http.connections
        if connection.is_streaming and not connection._can_write.is_set()
    ]


async def write_events(bench: Bench, megabytes: int = 2) -> int:
    """Write many large events. Return the id of the last."""
    job = await bench.start(queue="large")
    for _ in range(megabytes * 16):
        await bench.heartbeat(job, progress=LARGE)
        bench.clock.forward(10_000)  # progress is an event once in ten seconds
    return int(await bench.engine.events.last_id())


async def messages(connection: Connection) -> list[dict[str, Any]]:
    """Read a stream to its end, which must be a regular one. Return its messages with data."""
    found = []
    text = b""
    while size := int(await asyncio.wait_for(connection.reader.readuntil(b"\r\n"), 10), 16):
        text += await connection.reader.readexactly(size)
        assert await connection.reader.readexactly(2) == b"\r\n"
    assert await connection.reader.readexactly(2) == b"\r\n"
    for message in text.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in message.splitlines() if line)
        if "data" in lines:
            found.append({**lines, "data": orjson.loads(lines["data"])})
    return found


def counted(bench: Bench, name: str) -> float | None:
    return bench.engine.metrics.registry.get_sample_value(name)


async def test_unread_stream_ends_with_the_position_to_resume_after(
    bench: Bench, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_UNREAD_SECONDS", 0.05)
    last = await write_events(bench)
    viewer = await follow(server, "/events?last_event_id=0")
    await until(lambda: counted(bench, "corvo_event_streams_unread_total") == 1)
    assert counted(bench, "corvo_event_streams") == 0
    *events, end = await messages(viewer)
    assert await asyncio.wait_for(viewer.at_end(), 10)
    assert (end["event"], end["data"]["type"], end["data"]["reason"]) == ("end", "end", "unread")
    position = end["data"]["last_event_id"]
    assert str(position) == end["id"] == events[-1]["id"]
    assert f"last_event_id={position}" in end["data"]["message"]
    assert position < last
    monkeypatch.setattr(module, "_UNREAD_SECONDS", ENDLESS)
    rest = await follow(server, f"/events?last_event_id={position}")
    feed = bench.engine.events
    feed.close()
    ids = [int(event["id"]) for event in [*events, *await messages(rest)]]
    assert ids == list(range(1, last + 1))


async def test_memory_of_many_unread_streams_is_bounded(bench: Bench, server: HttpServer) -> None:
    await write_events(bench)
    for _ in range(20):
        await follow(server, "/events?last_event_id=0")
    await until(lambda: len(unread(server)) == 20)
    await write_events(bench)
    assert counted(bench, "corvo_event_streams") == 20
    assert max(unread(server)) < 256 * 1024


@pytest.mark.sqlite  # looks at its write-ahead log
async def test_unread_streams_hold_no_transaction(bench: Bench, server: HttpServer) -> None:
    await write_events(bench)
    for _ in range(8):
        await follow(server, "/events?last_event_id=0")
    await until(lambda: len(unread(server)) == 8)
    await bench.enqueue()
    with closing(sqlite3.connect(bench.store._path)) as connection:
        blocked, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert blocked == 0
    assert bench.store._readers.oldest_read() == 0


@pytest.mark.parametrize("path", ["/events?last_event_id=0", "/bulk/{}/progress"])
async def test_stop_does_not_wait_for_unread_streams(
    bench: Bench, server: HttpServer, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    await write_events(bench)
    monkeypatch.setattr(http_server, "_STREAM_SECONDS", 0.05)
    await follow(server, path.format(await endless_bulk(bench, monkeypatch)))
    await until(lambda: len(unread(server)) == 1)
    bench.engine.start_closing()
    assert await asyncio.wait_for(drain(server.http, ENDLESS), 30) == 0


async def test_stop_ends_a_stream_of_a_bulk_operation_at_once(
    bench: Bench, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_module, "_REPEAT_AFTER", ENDLESS)
    operation = await bench.engine.bulk.run(
        BulkRequest.model_validate({"action": "retry", "job_ids": ["job_1"], "async": True})
    )
    assert isinstance(operation, BulkRecord)
    viewer = await follow(server, f"/bulk/{operation.id}/progress")
    await viewer.reader.readuntil(b"\n\n")
    bench.engine.start_closing()
    assert await asyncio.wait_for(drain(server.http, ENDLESS), 10) == 0


async def endless_bulk(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> str:
    """Start a bulk operation whose stream repeats its state without a pause. Return its id."""
    monkeypatch.setattr(bulk_module, "_REPEAT_AFTER", 0)
    operation = await bench.engine.bulk.run(
        BulkRequest.model_validate({"action": "retry", "job_ids": ["job_1"], "async": True})
    )
    assert isinstance(operation, BulkRecord)
    return operation.id


async def test_unread_stream_of_a_bulk_operation_ends_with_a_message(
    bench: Bench, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_UNREAD_SECONDS", 0.05)
    viewer = await follow(server, f"/bulk/{await endless_bulk(bench, monkeypatch)}/progress")
    await until(lambda: counted(bench, "corvo_event_streams_unread_total") == 1)
    *progress, end = await messages(viewer)
    assert {message["event"] for message in progress} == {"progress"}
    assert end["event"] == "end"
    assert "id" not in end
    assert "Connect again" in end["data"]["message"]


async def test_stream_behind_an_unread_reply_is_aborted(
    bench: Bench, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last message cannot be written, because the head of the stream could not be."""
    monkeypatch.setattr(module, "_UNREAD_SECONDS", 0.05)
    job_ids = [await bench.enqueue(payload="x" * 250_000) for _ in range(40)]
    viewer = await server.connect(receive_bytes=4096)
    viewer.writer.write(
        request("POST", f"{API}/jobs/bulk-get", {"job_ids": job_ids})
        + request("GET", f"{API}/events")
    )
    await until(lambda: counted(bench, "corvo_event_streams_unread_total") == 1)
    await until(lambda: not server.http.connections)
