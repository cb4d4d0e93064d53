"""Behaviour on which older and other clients rely; `nox -s compat` runs such clients."""

import asyncio
from typing import Any

import orjson
import pytest

from server_support.bench import Bench, turns, until
from server_support.clock import forward_loop
from server_support.http import API, Connection, HttpServer, request

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def follow(server: HttpServer, chosen: str) -> Connection:
    """Follow the events from the first one on."""
    connection = await server.connect()
    await connection.send(request("GET", f"{API}/events?last_event_id=0&{chosen}"))
    head = await connection.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    return connection


async def lines(stream: Connection, data: int) -> list[str]:
    """Return the lines of a stream up to the `data`-th data line, decoded as Latin-1."""
    text = b""
    while text.count(b"\ndata: ") < data or not text.endswith(b"\n\n\r\n"):
        text += await asyncio.wait_for(stream.reader.readline(), 10)
    return text.decode("latin-1").splitlines()


async def read(stream: Connection, events: int) -> list[Any]:
    """Return the data of the next events."""
    told = await lines(stream, events)
    return [orjson.loads(line.removeprefix("data: ")) for line in told if line.startswith("data: ")]


@pytest.mark.parametrize("error", ["größe", "weiter …", "a\u2028b\u2029c\x85d", "😀", "\\u00e9"])
async def test_events_come_in_ascii(bench: Bench, server: HttpServer, error: str) -> None:
    job = await bench.start(queue="texts")
    await bench.fail(job, error, retry=False)
    stream = await follow(server, f"job_ids={job.head.id}&types=dead")
    (event,) = await read(stream, 1)
    assert event["data"]["error"] == error


async def test_the_type_failed_matches_every_failed_attempt(
    bench: Bench, server: HttpServer
) -> None:
    queue = "failures"
    job = await bench.start(queue=queue, max_retries=2, retry_backoff="none")
    await bench.fail(job, "first")
    await bench.tick()
    await bench.fail(await bench.fetch_one(queue), "second")
    done = await bench.start(queue=queue)
    await bench.ack(done)
    stream = await follow(server, f"queues={queue}&types=failed,completed")
    events = await read(stream, 3)
    assert [event["type"] for event in events] == ["retrying", "dead", "completed"]


async def test_unknown_type_of_event_is_refused(server: HttpServer) -> None:
    reply = await server.get("/events?types=failed,exploded")
    assert reply.status == 400
    assert "unknown: exploded" in reply.json["error"]


async def test_empty_fetch_is_answered_before_its_timeout(bench: Bench, server: HttpServer) -> None:
    body = {"queues": ["nothing"], "worker_id": "w", "timeout": 60}
    connection = await server.connect()
    await connection.send(request("POST", f"{API}/fetch", body))
    await until(lambda: server.engine.notifier.waiting == 1)
    forward_loop(59.6)
    await turns()
    assert server.engine.notifier.waiting == 0
    assert (await asyncio.wait_for(connection.receive(), 10)).status == 204


async def test_worker_that_heartbeats_without_its_id_is_not_silent(
    bench: Bench, server: HttpServer
) -> None:
    job = await bench.start(queue="beats", worker="quiet", lease=3600)
    bench.clock.forward(200_000)
    assert (await worker(server, "quiet"))["status"] == "silent"
    await server.post("/heartbeat", {"jobs": {job.head.id: {}, "job_of_nobody": {}}})
    beating = await worker(server, "quiet")
    assert (beating["status"], beating["active_jobs"]) == ("ok", 1)
    assert beating["last_heartbeat"] is not None


async def worker(server: HttpServer, worker_id: str) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = [item for item in (await server.get("/workers")).json if item["id"] == worker_id]
    return found
