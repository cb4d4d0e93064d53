"""Batches of concurrent calls: order, limits, and the result of each call."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from corvo_client import (
    ApiError,
    BadReply,
    ConnectionLost,
    Unauthorized,
    ValidationFailed,
)
from corvo_client._async.coalescer import Coalescer, Coalescers
from corvo_client._call import BatchEndpoint, Call


class FakeSession:
    """Replaces the session. Records each request and answers it when a test opens the gate.

    The answer to a single call is its path; the answer to a batch is its items.
    """

    def __init__(self) -> None:
        self.requests: list[list[str]] = []
        self.errors: dict[str, Exception] = {}
        self.gate = asyncio.Semaphore(0)
        self.arrived = asyncio.Event()

    async def send(self, call: Call[Any]) -> Any:
        items = json.loads(call.body or b"")["items"] if call.path == "/batch" else [call.path]
        self.requests.append(items)
        self.arrived.set()
        await self.gate.acquire()
        for item in items:
            if item in self.errors:
                raise self.errors[item]
        return items if call.path == "/batch" else call.path

    async def next_request(self) -> list[str]:
        """Wait for a request to arrive."""
        await asyncio.wait_for(self.arrived.wait(), 5)
        self.arrived.clear()
        return self.requests[-1]


ENDPOINT: BatchEndpoint[str] = BatchEndpoint("/batch", "items", 10, json.loads)


def single(name: str, size: int = 0) -> Call[str]:
    item = json.dumps(name).encode().ljust(size)
    return Call("POST", name, bytes.decode, batch_endpoint=ENDPOINT, item=item)


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


@pytest.fixture
def coalescer(session: FakeSession) -> Coalescer[str]:
    return Coalescer(ENDPOINT, session.send)


Start = Callable[..., "asyncio.Task[str]"]
SeeWaiting = Callable[[int], Awaitable[None]]


async def until(condition: Callable[[], bool]) -> None:
    """Run the event loop until `condition` holds; fail after 10 seconds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the code under test has no such event
            await asyncio.sleep(0)


@pytest.fixture
def see_waiting(coalescer: Coalescer[str]) -> SeeWaiting:
    """Wait until exactly the given number of calls waits for the next request."""

    async def see(calls: int) -> None:
        await until(lambda: len(coalescer._waiting) == calls)

    return see


@pytest.fixture
def start(coalescer: Coalescer[str]) -> Start:
    def begin(name: str, size: int = 0) -> asyncio.Task[str]:
        return asyncio.create_task(coalescer.send(single(name, size)))

    return begin


async def test_single_call_is_sent_at_once(session: FakeSession, start: Start) -> None:
    session.gate.release()
    assert await start("a") == "a"
    session.gate.release()
    assert await start("b") == "b"
    assert session.requests == [["a"], ["b"]]


async def test_calls_during_a_request_are_batched_in_order(
    session: FakeSession, start: Start, see_waiting: SeeWaiting
) -> None:
    first = start("a")
    await session.next_request()
    others = [start(name) for name in "bcdef"]
    await see_waiting(5)
    session.gate.release()
    assert await session.next_request() == ["b", "c", "d", "e", "f"]
    late = start("g")
    await see_waiting(1)
    session.gate.release()
    session.gate.release()
    assert await asyncio.gather(first, *others, late) == list("abcdefg")
    assert session.requests == [["a"], ["b", "c", "d", "e", "f"], ["g"]]


async def test_next_calls_of_answered_callers_share_a_request(
    session: FakeSession, coalescer: Coalescer[str], see_waiting: SeeWaiting
) -> None:
    async def caller(name: str) -> None:
        for _ in range(5):
            assert await coalescer.send(single(name)) == name

    calling = asyncio.gather(*(caller(name) for name in "abc"))
    await see_waiting(2)
    for _ in range(6):
        await session.next_request()
        session.gate.release()
    await calling
    assert [sorted(request) for request in session.requests] == [
        ["a"],
        *[["a", "b", "c"]] * 4,
        ["b", "c"],
    ]


async def test_batch_has_a_maximum_of_items(
    session: FakeSession, start: Start, see_waiting: SeeWaiting
) -> None:
    tasks = [start("x")]
    await session.next_request()
    tasks += [start(f"n{n}") for n in range(25)]
    await see_waiting(25)
    for _ in range(4):
        session.gate.release()
    await asyncio.gather(*tasks)
    assert [len(request) for request in session.requests] == [1, 10, 10, 5]


async def test_batch_has_a_maximum_of_bytes(
    session: FakeSession, start: Start, see_waiting: SeeWaiting
) -> None:
    sizes = [1, 3_000_000, 900_000, 200_000, 5_000_000, 1]
    tasks = [start("x")]
    await session.next_request()
    tasks += [start(f"n{n}", size) for n, size in enumerate(sizes)]
    await see_waiting(6)
    for _ in range(5):
        session.gate.release()
    await asyncio.gather(*tasks)
    assert session.requests == [["x"], ["n0", "n1", "n2"], ["n3"], ["n4"], ["n5"]]


@pytest.mark.parametrize("culprit", ["b", "d", "f"])
async def test_only_the_invalid_call_of_a_batch_fails(
    session: FakeSession, start: Start, culprit: str, see_waiting: SeeWaiting
) -> None:
    session.errors[culprit] = ValidationFailed("bad", code="VALIDATION_ERROR", status=400)
    tasks = [start("a")]
    await session.next_request()
    tasks += [start(name) for name in "bcdef"]
    await see_waiting(5)
    for _ in range(20):
        session.gate.release()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for name, result in zip("abcdef", results, strict=True):
        assert isinstance(result, ValidationFailed) if name == culprit else result == name
    delivered = [name for request in session.requests if culprit not in request for name in request]
    assert sorted(delivered) == [name for name in "abcdef" if name != culprit]
    assert delivered == sorted(delivered), "order is kept while a batch is taken apart"


@pytest.mark.parametrize(
    "error",
    [
        Unauthorized("who?", code="UNAUTHORIZED", status=401),
        ConnectionLost("gone"),
        ApiError("proxy", code="", status=418),
        ZeroDivisionError("a bug"),
    ],
)
async def test_error_of_the_whole_batch_is_raised_for_all_calls(
    session: FakeSession, start: Start, error: Exception, see_waiting: SeeWaiting
) -> None:
    error.__cause__ = OSError("why")
    tasks = [start("a")]
    await session.next_request()
    tasks += [start("b"), start("c")]
    await see_waiting(2)
    session.errors["c"] = error
    session.gate.release()
    session.gate.release()
    first, *failed = await asyncio.gather(*tasks, return_exceptions=True)
    assert first == "a"
    assert [type(result) for result in failed] == [type(error)] * 2
    assert [str(result) for result in failed] == [str(error)] * 2
    assert all(isinstance(r, Exception) and r.__cause__ is error.__cause__ for r in failed)
    assert len(session.requests) == 2


async def test_errors_of_two_callers_are_two_objects(
    session: FakeSession, start: Start, see_waiting: SeeWaiting
) -> None:
    tasks = [start("a")]
    await session.next_request()
    tasks += [start("b"), start("c")]
    await see_waiting(2)
    session.errors["c"] = Unauthorized("who?", code="UNAUTHORIZED", status=401, request_id="r")
    session.gate.release()
    session.gate.release()
    _, one, other = await asyncio.gather(*tasks, return_exceptions=True)
    assert one is not other
    assert isinstance(one, Unauthorized)
    assert (one.code, one.status, one.request_id) == ("UNAUTHORIZED", 401, "r")


async def test_error_of_the_first_call_does_not_stop_the_others(
    session: FakeSession, start: Start, see_waiting: SeeWaiting
) -> None:
    session.errors["a"] = ConnectionLost("gone")
    first = start("a")
    await session.next_request()
    second = start("b")
    await see_waiting(1)
    session.gate.release()
    session.gate.release()
    with pytest.raises(ConnectionLost):
        await first
    assert await second == "b"


async def test_wrong_number_of_results_is_an_error_of_all(
    start: Start, session: FakeSession, monkeypatch: pytest.MonkeyPatch, see_waiting: SeeWaiting
) -> None:
    tasks = [start("a")]
    await session.next_request()
    tasks += [start("b"), start("c")]
    await see_waiting(2)
    monkeypatch.setattr(session, "requests", Shortened())
    session.gate.release()
    session.gate.release()
    _, *failed = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in failed] == [BadReply, BadReply]


class Shortened(list[list[str]]):
    """Omits one item of each answer."""

    def append(self, items: list[str]) -> None:
        items.pop()


async def test_cancelled_first_caller_does_not_stop_the_others(
    session: FakeSession, start: Start, see_waiting: SeeWaiting
) -> None:
    first = start("a")
    await session.next_request()
    others = [start("b"), start("c")]
    await see_waiting(2)
    first.cancel()
    session.gate.release()
    assert await asyncio.gather(*others) == ["b", "c"]
    assert first.cancelled()


async def test_call_of_a_cancelled_waiting_caller_is_not_sent(
    session: FakeSession, start: Start, see_waiting: SeeWaiting
) -> None:
    first = start("a")
    await session.next_request()
    others = [start("b"), start("c"), start("d")]
    await see_waiting(3)
    others[1].cancel()
    await asyncio.wait([others[1]])
    session.gate.release()
    session.gate.release()
    assert [await first, await others[0], await others[2]] == ["a", "b", "d"]
    assert session.requests == [["a"], ["b", "d"]]


async def test_caller_cancelled_during_its_request_does_not_affect_the_batch(
    session: FakeSession, start: Start, see_waiting: SeeWaiting
) -> None:
    first = start("a")
    await session.next_request()
    others = [start("b"), start("c")]
    await see_waiting(2)
    session.gate.release()
    await first
    await session.next_request()
    others[0].cancel()
    await asyncio.wait([others[0]])
    session.gate.release()
    assert await others[1] == "c"


async def test_when_all_waiting_callers_are_cancelled_nothing_is_sent(
    session: FakeSession, start: Start, coalescer: Coalescer[str], see_waiting: SeeWaiting
) -> None:
    first = start("a")
    await session.next_request()
    waiting = start("b")
    await see_waiting(1)
    waiting.cancel()
    session.gate.release()
    await first
    await asyncio.wait_for(coalescer.drain(), 5)
    assert session.requests == [["a"]]
    session.gate.release()
    assert await start("c") == "c"


async def test_cancelled_sender_cancels_the_waiting_callers(
    session: FakeSession, start: Start, coalescer: Coalescer[str], see_waiting: SeeWaiting
) -> None:
    first = start("a")
    await session.next_request()
    others = [start(f"n{n}") for n in range(12)]
    await see_waiting(12)
    session.gate.release()
    await first
    await session.next_request()
    assert coalescer._sender is not None
    coalescer._sender.cancel()
    results = await asyncio.gather(*others, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    await asyncio.wait_for(coalescer.drain(), 5)


async def test_drain_waits_for_waiting_calls(session: FakeSession, start: Start) -> None:
    coalescers = Coalescers(session.send)
    tasks = [asyncio.create_task(coalescers.send(single(name), ENDPOINT)) for name in "ab"]
    await session.next_request()
    draining = asyncio.create_task(coalescers.drain())
    session.gate.release()
    assert await session.next_request() == ["b"]
    assert not draining.done()
    session.gate.release()
    await asyncio.wait_for(draining, 5)
    assert [task.done() for task in tasks] == [True, True]
