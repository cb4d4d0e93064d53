"""The event feed: live, filtered, resumed, and without gaps."""

import asyncio
from collections import deque
from typing import Any

import orjson
import pytest

from corvo_schema import JobEvent
from corvo_server.engine.engine import Engine
from corvo_server.engine.events import EventFilter
from corvo_server.http import events as events_module
from server_support.bench import Bench
from server_support.http import API, Connection, HttpServer, Reply, request, serve

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Feed:
    """A connection that reads server-sent events."""

    def __init__(self, connection: Connection, reply: Reply) -> None:
        self.connection = connection
        self.reply = reply

    async def chunk(self) -> bytes:
        """Return the next chunk of the stream; empty at its end."""
        reader = self.connection.reader
        size = int(await asyncio.wait_for(reader.readuntil(b"\r\n"), 5), 16)
        data = await reader.readexactly(size)
        assert await reader.readexactly(2) == b"\r\n"
        return data

    async def events(self, count: int) -> list[dict[str, Any]]:
        """Return the next `count` events."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            for message in (await self.chunk()).decode().split("\n\n"):
                lines = dict(line.split(": ", 1) for line in message.splitlines() if line)
                if "data" in lines:
                    event = orjson.loads(lines["data"])
                    JobEvent.model_validate(event)
                    assert (lines["id"], lines["event"]) == (str(event["id"]), event["type"])
                    found.append(event)
        return found


async def follow(server: HttpServer, query: str = "", **headers: str) -> Feed:
    """Follow the feed. Return when the server has started to stream."""
    connection = await server.connect()
    await connection.send(request("GET", f"{API}/events{query}", headers=headers))
    reply = await asyncio.wait_for(connection.receive(), 5)
    feed = Feed(connection, reply)
    if reply.status == 200:
        assert reply.headers["content-type"].startswith("text/event-stream")
        assert (await feed.chunk()).startswith(b": following\nid: ")
    return feed


def told(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["type"], event["job_id"]) for event in events]


async def test_events_are_streamed_live(bench: Bench, server: HttpServer) -> None:
    feed = await follow(server)
    job = await bench.start(queue="v1")
    job_id = job.head.id
    assert told(await feed.events(2)) == [("enqueued", job_id), ("started", job_id)]
    await bench.ack(job)
    assert told(await feed.events(1)) == [("completed", job_id)]
    feed.connection.close()


async def test_events_are_filtered(bench: Bench, server: HttpServer) -> None:
    by_queue = await follow(server, "?queues=v2,v3")
    by_type = await follow(server, "?types=failed,cancelled")
    first, second = [await bench.start(queue=queue) for queue in ("v2", "other")]
    by_job = await follow(server, f"?job_ids={second.head.id}&queues=other")
    for job in (first, second):
        await bench.fail(job, retry=job is second)
    await bench.engine.jobs.cancel(second.head.id)
    assert told(await by_queue.events(3)) == [
        ("enqueued", first.head.id),
        ("started", first.head.id),
        ("dead", first.head.id),
    ]
    assert told(await by_type.events(3)) == [
        ("dead", first.head.id),
        ("retrying", second.head.id),
        ("cancelled", second.head.id),
    ]
    assert told(await by_job.events(2)) == [
        ("retrying", second.head.id),
        ("cancelled", second.head.id),
    ]


@pytest.mark.parametrize("by_header", [True, False])
async def test_feed_resumes_after_the_last_event(
    bench: Bench, server: HttpServer, by_header: bool
) -> None:
    feed = await follow(server)
    await bench.enqueue("v4")
    (seen,) = await feed.events(1)
    feed.connection.close()
    missed = [await bench.enqueue("v4") for _ in range(3)]
    last = str(seen["id"])
    again = (
        await follow(server, **{"last-event-id": last})
        if by_header
        else await follow(server, f"?last_event_id={last}")
    )
    events = await again.events(3)
    assert told(events) == [("enqueued", job_id) for job_id in missed]
    assert [event["id"] for event in events] == [seen["id"] + i for i in (1, 2, 3)]


async def test_feed_reads_older_events_from_the_log(bench: Bench, server: HttpServer) -> None:
    job_ids = [await bench.enqueue("v5") for _ in range(5)]
    server.engine.events._recent = deque(maxlen=2)
    feed = await follow(server, "?last_event_id=0&queues=v5")
    assert told(await feed.events(5)) == [("enqueued", job_id) for job_id in job_ids]
    more = [await bench.enqueue("v5") for _ in range(5)]
    assert told(await feed.events(5)) == [("enqueued", job_id) for job_id in more]
    server.engine.events._recent = deque(maxlen=10_000)


async def test_feed_without_events_sends_keep_alive_comments(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "_KEEP_ALIVE", 0.01)
    feed = await follow(server)
    for _ in range(2):
        assert await feed.chunk() == b": alive\n\n"


async def test_feed_ends_when_the_server_closes(bench: Bench) -> None:
    engine = Engine(bench.store, clock=bench.clock)
    async with serve(engine) as server:
        feed = await follow(server)
        engine.start_closing()
        assert await feed.chunk() == b""


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?last_event_id=x", "last_event_id"),
        ("?last_event_id=-1", "last_event_id"),
        ("?last_event_id=1.5", "last_event_id"),
        ("?last_event_id=9999999999999999999999", "last_event_id"),
        ("?types=exploded", "types"),
        ("?types=completed,,dead", "types"),
    ],
)
async def test_invalid_filter_of_events_is_refused(
    server: HttpServer, query: str, field: str
) -> None:
    feed = await follow(server, query)
    assert (feed.reply.status, feed.reply.json["code"]) == (400, "VALIDATION_ERROR")
    assert [detail["field"] for detail in feed.reply.json["details"]] == [field]


async def test_slow_follower_misses_no_event(bench: Bench, server: HttpServer) -> None:
    log = server.engine.events
    after = await log.last_id()
    job_ids = []
    seen: list[str] = []
    follower = log.follow(after, EventFilter(queues=frozenset({"v6"})), 5)
    for _ in range(20):
        job_ids += [await bench.enqueue("v6") for _ in range(3)]
        seen += [event.job_id for event in await anext(follower)]
    await follower.aclose()
    assert seen == job_ids
