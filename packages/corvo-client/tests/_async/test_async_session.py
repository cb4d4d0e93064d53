"""Retries of calls."""

import asyncio
from typing import Any

import httpx
import pytest

from corvo_client import (
    CallTimedOut,
    ConnectionFailed,
    ConnectionLost,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    RetryPolicy,
    Unavailable,
)
from corvo_client._async.session import AsyncSession
from corvo_client._async.transport import AsyncTransport
from corvo_client._call import Call
from corvo_client._calls import admin, attempts, jobs, queues
from corvo_client._origin import Origin
from corvo_schema import EnqueueRequest, FetchedJob

JOB_ID = "job_01ARZ3NDEKTSV4RRFFQ69G5FAV"
INFO = {"server_version": "1.0.0", "api_version": "v1"}
held = FetchedJob(job_id=JOB_ID, queue="q", attempt=1, lease_duration=60, lease_token="t")


class Pauses:
    """Replaces `sleep` and records the pauses."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def session(server: Any, pauses: Pauses) -> AsyncSession:
    transport = AsyncTransport(Origin(), httpx.MockTransport(server))
    return AsyncSession(transport, RetryPolicy(max_attempts=4), sleep=pauses, draw=lambda: 0.5)


class Clock:
    """A clock in seconds that moves only by its `sleep`."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def test_a_caller_waits_a_few_seconds_for_a_server_that_is_down(server: Any) -> None:
    transport = AsyncTransport(Origin(), httpx.MockTransport(server))
    for policy, longest in ((RetryPolicy(), 5.0), (RetryPolicy(max_elapsed=60), 60.0)):
        clock = Clock()
        session = AsyncSession(transport, policy, sleep=clock.sleep, clock=clock, draw=lambda: 1.0)
        for _ in range(100):
            server.then(httpx.ConnectError("refused"))
        with pytest.raises(ConnectionFailed, match="Is the server running there") as caught:
            await session.send(admin.info())
        waited = clock.now - 100.0
        assert longest / 2 < waited <= longest
        attempts = len(server.requests)
        assert caught.value.__notes__ == [
            f"The call was tried {attempts} times in {waited:.1f} s. To try for longer, set "
            "CORVO_RETRY_SECONDS or pass `retry`"
        ]
        server.requests.clear()


async def test_read_is_retried_until_it_succeeds(
    server: Any, session: AsyncSession, pauses: Pauses
) -> None:
    server.then(httpx.ConnectError("refused"))
    server.then(httpx.ReadError("reset"))
    server.refuse(503, "UNAVAILABLE")
    server.answer(200, INFO)
    assert (await session.send(admin.info())).server_version == "1.0.0"
    assert pauses.seconds == [0.05, 0.1, 0.2]


async def test_attempts_are_limited(server: Any, session: AsyncSession, pauses: Pauses) -> None:
    for _ in range(4):
        server.then(httpx.ConnectError("refused"))
    with pytest.raises(ConnectionFailed, match=r"localhost:8080 \(.*\): refused"):
        await session.send(admin.info())
    assert len(pauses.seconds) == 3


async def test_retry_after_is_honoured(server: Any, session: AsyncSession, pauses: Pauses) -> None:
    server.refuse(429, "OVERLOADED", Retry_After="2")
    server.answer(200, INFO)
    await session.send(admin.info())
    assert pauses.seconds == [2.05]


async def test_retry_after_beyond_the_time_limit_is_not_awaited(
    server: Any, session: AsyncSession, pauses: Pauses
) -> None:
    server.refuse(503, "UNAVAILABLE", Retry_After="3600")
    with pytest.raises(Unavailable) as caught:
        await session.send(admin.info())
    assert caught.value.retry_after == 3600
    assert not pauses.seconds


async def test_retried_enqueue_keeps_its_job_id_and_succeeds(
    server: Any, session: AsyncSession
) -> None:
    server.then(httpx.ReadError("reset"))
    server.answer(200, {"job_id": JOB_ID, "status": "active", "unique_existing": False})
    reply = await session.send(jobs.enqueue(EnqueueRequest(queue="q")))
    assert (reply.job_id, reply.status) == (JOB_ID, "active")
    assert server.bodies[0] == server.bodies[1]
    assert server.bodies[0]["job_id"].startswith("job_")


REPEATED = [
    jobs.enqueue_batch([{"queue": "q"}], None),
    jobs.get_job("x"),
    jobs.bulk_get(["x"]),
    jobs.get_batch("x"),
    jobs.list_batches(),
    attempts.ack(held, {}),
    attempts.fail(held, "e", {}),
    attempts.release(held, {}),
    attempts.ack_batch([]),
    attempts.heartbeat({}, None),
    queues.list_queues(),
    queues.get_queue("q"),
    queues.pause_queue("q"),
    queues.resume_queue("q"),
]
NOT_REPEATED = [
    jobs.cancel_job("x"),
    jobs.retry_job("x"),
    attempts.ack("x", {}),
    attempts.fail("x", "e", {}),
    attempts.release("x", {}),
    attempts.fetch({"queues": ["q"], "worker_id": "w"}),
    attempts.fetch_batch({"queues": ["q"], "worker_id": "w", "count": 1}),
]


@pytest.mark.parametrize("call", REPEATED, ids=lambda call: call.path)
async def test_repeatable_call_of_unknown_outcome_is_retried(
    server: Any, session: AsyncSession, call: Call[Any]
) -> None:
    server.refuse(500, "OUTCOME_UNKNOWN")
    server.refuse(404, "NOT_FOUND")
    with pytest.raises(NotFound):
        await session.send(call)
    assert server.bodies[0] == server.bodies[1]


@pytest.mark.parametrize("call", NOT_REPEATED, ids=lambda call: call.path)
async def test_other_call_of_unknown_outcome_raises_it(
    server: Any, session: AsyncSession, call: Call[Any]
) -> None:
    server.refuse(500, "OUTCOME_UNKNOWN", "It is unknown whether this call was done")
    with pytest.raises(OutcomeUnknown, match="It is unknown whether this call was done"):
        await session.send(call)
    assert len(server.requests) == 1


@pytest.mark.parametrize("call", REPEATED, ids=lambda call: call.path)
async def test_repeatable_call_is_retried(
    server: Any, session: AsyncSession, call: Call[Any]
) -> None:
    server.then(httpx.ReadTimeout("slow"))
    server.refuse(404, "NOT_FOUND")
    with pytest.raises(NotFound):
        await session.send(call)
    assert len(server.requests) == 2


@pytest.mark.parametrize("call", NOT_REPEATED, ids=lambda call: call.path)
async def test_call_that_may_have_taken_effect_is_not_retried(
    server: Any, session: AsyncSession, call: Call[Any]
) -> None:
    server.then(httpx.ReadTimeout("slow"))
    with pytest.raises(CallTimedOut, match="The call may have taken effect"):
        await session.send(call)
    server.then(httpx.RemoteProtocolError("disconnected"))
    with pytest.raises(ConnectionLost, match="The call may have taken effect"):
        await session.send(call)
    server.answer(503, b"<html>")
    with pytest.raises(Unavailable, match="not from a Corvo server"):
        await session.send(call)


@pytest.mark.parametrize("call", NOT_REPEATED, ids=lambda call: call.path)
async def test_call_without_effect_is_retried(
    server: Any, session: AsyncSession, call: Call[Any]
) -> None:
    server.then(httpx.ConnectTimeout("slow"))
    server.refuse(429, "OVERLOADED")
    server.refuse(503, "UNAVAILABLE")
    server.refuse(404, "NOT_FOUND")
    with pytest.raises(NotFound):
        await session.send(call)


@pytest.mark.parametrize("call", [admin.healthz(), admin.readyz()], ids=lambda call: call.path)
async def test_health_check_is_not_retried(
    server: Any, session: AsyncSession, call: Call[Any]
) -> None:
    server.refuse(503, "UNAVAILABLE", "the store does not answer")
    with pytest.raises(Unavailable, match="the store does not answer"):
        await session.send(call)


async def test_overload_is_raised_after_all_attempts(server: Any, session: AsyncSession) -> None:
    for _ in range(4):
        server.refuse(429, "OVERLOADED")
    with pytest.raises(Overloaded):
        await session.send(jobs.enqueue(EnqueueRequest(queue="q")))


def test_pauses_are_real_by_default() -> None:
    assert AsyncSession(AsyncTransport(Origin()), RetryPolicy())._sleep is asyncio.sleep
