"""A front-end and the writer behind it, from start to end: both in this process."""

import asyncio
import logging
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from corvo_server.http_server import bind_group, url_of
from corvo_server.processes import frontend, writer
from corvo_server.processes.child import READY, Lifeline
from corvo_server.settings import Settings
from server_support.http import API, Connection, Reply, request
from server_support.kits import Kit

pytestmark = pytest.mark.sqlite


class Child:
    """One of the two, as its parent has it."""

    def __init__(self, serve: Callable[[Lifeline], Awaitable[None]]) -> None:
        stop, self._stop = os.pipe()
        self._ready, ready = os.pipe()
        self._lifeline = Lifeline(stop, ready)
        self.task = asyncio.ensure_future(serve(self._lifeline))

    async def wait_until_ready(self) -> None:
        assert await asyncio.to_thread(os.read, self._ready, 1) == READY

    async def stop(self) -> None:
        os.close(self._stop)
        await self.task
        for end in (*self._lifeline, self._ready):
            os.close(end)


class Pair:
    """The two, and a connection to the front-end."""

    def __init__(self, kit: Kit, settings: Settings, home: Path) -> None:
        (listener,) = bind_group("127.0.0.1:0", 1)
        self._port = listener.getsockname()[1]
        self.writer = Child(
            lambda line: writer.run_writer(settings, home, url_of(listener), line, kit.open())
        )
        self.front_end = Child(lambda line: frontend.run_front_end(settings, home, listener, line))

    async def connect(self) -> Connection:
        await self.writer.wait_until_ready()
        await self.front_end.wait_until_ready()
        self.connection = Connection(*await asyncio.open_connection("127.0.0.1", self._port))
        return self.connection

    async def ask(self, method: str, path: str, body: Any = None) -> Reply:
        await self.connection.send(request(method, path, body))
        reply = self.connection.receive(has_body=method != "HEAD")
        return await asyncio.wait_for(reply, 20)


@pytest.fixture
async def pair(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Pair]:
    monkeypatch.setenv("CORVO_SANIC_TOUCHUP", "false")  # it would change Sanic for other tests
    for module in (writer, frontend):
        monkeypatch.setattr(module, "relax_collector", lambda: None)
    caplog.set_level(logging.INFO)
    with tempfile.TemporaryDirectory() as home:  # whose path is short
        pair = Pair(kit, Settings(bind="127.0.0.1:0", shutdown_timeout="1s"), Path(home))
        await pair.connect()
        yield pair
        if not pair.front_end.task.done():
            await pair.front_end.stop()
        if not pair.writer.task.done():
            await pair.writer.stop()
        pair.connection.close()


async def test_a_job_is_put_in_looked_at_and_handed_out(pair: Pair) -> None:
    made = await pair.ask("POST", f"{API}/enqueue", {"queue": "q", "payload": [1]})
    assert made.status == 201
    job_id = made.json["job_id"]
    seen = await pair.ask("GET", f"{API}/jobs/{job_id}")
    assert (seen.status, seen.json["payload"]) == (200, [1])
    assert seen.headers["content-type"] == "application/json"
    head = await pair.ask("HEAD", f"{API}/jobs/{job_id}")
    assert head.headers["content-length"] == seen.headers["content-length"]
    handed = await pair.ask("POST", f"{API}/fetch", {"queues": ["q"], "worker_id": "w"})
    assert handed.json["job_id"] == job_id


async def test_errors_are_those_of_a_single_process(pair: Pair) -> None:
    missing = await pair.ask("GET", f"{API}/jobs/job_none")
    assert (missing.status, missing.json["code"]) == (404, "NOT_FOUND")
    assert missing.json["request_id"] == missing.headers["x-request-id"]
    invalid = await pair.ask("POST", f"{API}/jobs/bulk-get", {"job_ids": "one"})
    assert (invalid.status, invalid.json["code"]) == (400, "VALIDATION_ERROR")
    assert invalid.json["details"][0]["field"] == "job_ids"
    nowhere = await pair.ask("GET", f"{API}/nowhere")
    assert (nowhere.status, nowhere.json["code"]) == (404, "NOT_FOUND")


async def test_a_stream_goes_through_and_ends_with_the_front_end(pair: Pair) -> None:
    await pair.ask("POST", f"{API}/enqueue", {"queue": "q"})
    await pair.connection.send(request("GET", f"{API}/events?last_event_id=0"))
    reader = pair.connection.reader
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
    assert b"text/event-stream" in head
    await asyncio.wait_for(reader.readuntil(b"event: enqueued"), 20)
    await pair.front_end.stop()
    assert (await asyncio.wait_for(reader.read(), 20)).endswith(b"0\r\n\r\n")


async def test_a_stop_sends_waiting_fetches_home(pair: Pair) -> None:
    fetch = request("POST", f"{API}/fetch", {"queues": ["q"], "worker_id": "w", "timeout": 60})
    await pair.connection.send(fetch)
    peer = pair.connection.writer.get_extra_info("peername")
    other = Connection(*await asyncio.open_connection(*peer))
    while True:
        await other.send(request("GET", f"{API}/metrics"))
        if b"corvo_waiting_fetches 1.0" in (await other.receive()).body:
            break
    other.close()
    await pair.front_end.stop()
    assert (await pair.connection.receive()).status == 204


async def test_without_the_writer_requests_get_503(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.wait_for(pair.writer.stop(), 30)  # which cuts the front-end off
    for method, path, body in (
        ("POST", f"{API}/enqueue", {"queue": "q"}),
        ("GET", f"{API}/queues", None),
        ("GET", "/healthz", None),
        ("GET", "/readyz", None),
    ):
        reply = await pair.ask(method, path, body)
        assert (reply.status, reply.json["code"]) == (503, "UNAVAILABLE")
        assert reply.headers["retry-after"] == "1"
    assert "the writer is gone: requests get 503 until it is back" in caplog.messages
