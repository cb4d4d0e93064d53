"""Event streams: their requests, and reconnecting after a broken connection."""

import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from corvo_client import (
    NO_RETRIES,
    AsyncClient,
    BadReply,
    CallTimedOut,
    ConnectionFailed,
    ConnectionLost,
    Unauthorized,
    ValidationFailed,
    calls,
)
from corvo_client._async.session import AsyncSession
from corvo_client._async.transport import AsyncTransport
from corvo_client._origin import Origin
from corvo_client._retry import RetryPolicy

KIND = "text/event-stream; charset=utf-8"


def message(number: int) -> bytes:
    data = {
        "id": number,
        "type": "enqueued",
        "job_id": f"job_{number}",
        "queue": "q",
        "created_at": "2026-01-31T08:00:00.000Z",
    }
    return b"id: %d\nevent: enqueued\ndata: %b\n\n" % (number, json.dumps(data).encode())


def stream(*pieces: bytes) -> httpx.Response:
    return httpx.Response(200, content=b"".join(pieces), headers={"Content-Type": KIND})


def broken(*pieces: bytes) -> httpx.Response:
    """A stream with a connection that breaks."""

    async def content() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece
        raise httpx.ReadError("broken pipe")

    return httpx.Response(200, content=content(), headers={"Content-Type": KIND})


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def make_session(server: Any, pauses: list[float]) -> Callable[[RetryPolicy], AsyncSession]:
    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    def make(policy: RetryPolicy) -> AsyncSession:
        transport = AsyncTransport(Origin(), httpx.MockTransport(server))
        return AsyncSession(transport, policy, sleep=sleep, draw=lambda: 1.0)

    return make


@pytest.fixture
def session(make_session: Callable[[RetryPolicy], AsyncSession]) -> AsyncSession:
    return make_session(RetryPolicy(max_attempts=3, first_delay=1.0, longest_delay=4.0))


async def ids(session: AsyncSession, count: int, **asked: Any) -> list[int | None]:
    seen: list[int | None] = []
    async with aclosing(session.follow(calls.follow_events(**asked))) as events:
        async for event in events:
            seen.append(event.id)
            if len(seen) == count:
                break
    return seen


async def test_stream_request_has_filters_and_last_event_id(server: Any) -> None:
    server.then(stream(message(8)))
    async with AsyncClient(transport=httpx.MockTransport(server)) as client:
        events = client.follow_events(
            queues=["a", "b:c"], job_ids="job_1", types=("dead", "expired"), after=7
        )
        async with aclosing(events):
            async for event in events:
                assert (event.id, event.type, event.job_id) == (8, "enqueued", "job_8")
                break
    query = "queues=a,b%3Ac&job_ids=job_1&types=dead,expired&last_event_id=7"
    assert server.lines == [f"GET /api/v1/events?{query}"]


async def test_broken_stream_continues_after_its_last_event(
    session: AsyncSession, server: Any, pauses: list[float]
) -> None:
    server.then(broken(b": following\nid: 4\n\n"))
    server.then(broken(message(5), message(6), b"id: 7\ndata: cut"))
    server.then(stream())
    server.then(stream(b": alive\n\n"))
    server.then(httpx.ConnectError("refused"))
    server.refuse(503, "UNAVAILABLE", Retry_After="2")
    server.then(stream(message(7)))
    assert await ids(session, 3) == [5, 6, 7]
    assert [line.partition("?")[2] for line in server.lines] == [
        "",
        "last_event_id=4",
        *["last_event_id=6"] * 5,
    ]
    # Reconnecting exceeds the policy's maximum of attempts. Pauses grow until the next event.
    assert pauses == [1.0, 1.0, 2.0, 4.0, 4.0, 6.0]


async def test_stream_that_the_server_ended_unread_continues_after_its_last_event(
    session: AsyncSession, server: Any, pauses: list[float]
) -> None:
    end = b'event: end\ndata: {"type":"end","reason":"unread","message":"Connect again."}\n\n'
    server.then(stream(b": following\nid: 4\n\n", message(5), b"id: 5\n", end))
    server.then(stream(b"id: 8\n", end))
    server.then(stream(message(9)))
    assert await ids(session, 2) == [5, 9]
    assert [line.partition("?")[2] for line in server.lines] == [
        "",
        "last_event_id=5",
        "last_event_id=8",
    ]
    assert pauses == [1.0, 2.0]


async def test_progress_of_a_bulk_operation_continues_after_a_stream_that_ended_unread(
    session: AsyncSession, server: Any
) -> None:
    operation = {
        "id": "bulk_1",
        "status": "running",
        "action": "retry",
        "total": 1,
        "processed": 0,
        "affected": 0,
        "errors": 0,
        "created_at": "2026-01-31T08:00:00.000Z",
        "updated_at": "2026-01-31T08:00:00.000Z",
    }
    progress = b"event: progress\ndata: %b\n\n" % json.dumps(operation).encode()
    server.then(stream(progress, b'event: end\ndata: {"type":"end","reason":"unread"}\n\n'))
    server.then(stream(progress))
    seen = 0
    async with aclosing(session.follow(calls.follow_bulk("bulk_1"))) as operations:
        async for found in operations:
            assert found.id == "bulk_1"
            seen += 1
            if seen == 2:
                break


async def test_first_connection_is_retried_by_the_policy(
    session: AsyncSession, server: Any, pauses: list[float]
) -> None:
    for _ in range(3):
        server.then(httpx.ConnectError("refused"))
    with pytest.raises(ConnectionFailed, match="refused"):
        await ids(session, 1)
    assert pauses == [1.0, 2.0]


async def test_without_retries_a_broken_stream_is_an_error(
    make_session: Callable[[RetryPolicy], AsyncSession], server: Any
) -> None:
    session = make_session(NO_RETRIES)
    server.then(stream(message(1)))
    with pytest.raises(ConnectionLost, match="the server ended the stream"):
        await ids(session, 2)
    server.then(httpx.ReadTimeout("silence"))
    with pytest.raises(CallTimedOut, match="within 45 s"):
        await ids(session, 1)


async def test_permanent_errors_are_raised(session: AsyncSession, server: Any) -> None:
    server.then(stream(message(1)))
    server.refuse(401, "UNAUTHORIZED", "the key was revoked")
    with pytest.raises(Unauthorized, match="revoked"):
        await ids(session, 2)
    server.refuse(400, "VALIDATION_ERROR", "types must be of these")
    with pytest.raises(ValidationFailed, match="must be of these"):
        await ids(session, 1, types="nonsense")
    server.answer(200, b"<html>", content_type="text/html")
    with pytest.raises(BadReply, match="not an event stream but 'text/html'"):
        await ids(session, 1)
    server.then(stream(b"data: {}\n\n"))
    with pytest.raises(BadReply, match="not what a Corvo server"):
        await ids(session, 1)


async def test_closing_the_session_ends_its_streams(
    session: AsyncSession, server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server.then(stream(message(1)))
    events = session.follow(calls.follow_events())
    seen = []
    async for event in events:
        seen.append(event.id)
        await session.close()
    assert seen == [1]
    assert not caplog.records
    with pytest.raises(RuntimeError, match="closed"):
        session.follow(calls.follow_events())


async def test_exact_events_have_their_bytes(server: Any) -> None:
    server.then(stream(message(1)))
    async with AsyncClient(transport=httpx.MockTransport(server)) as client:
        wanted = calls.exact_stream(calls.follow_events(after=0))
        async with aclosing(client.follow(wanted)) as events:
            async for event in events:
                assert json.loads(event.body)["id"] == event.value.id == 1
                break
    assert server.lines == ["GET /api/v1/events?last_event_id=0"]
