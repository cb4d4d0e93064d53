"""Calls made at the same time: their order, their company, and that each gets its own answer."""

import asyncio
import json
from collections.abc import Callable
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


class Wire:
    """Takes the place of the session: keeps the requests and lets each go when it is told.

    A single call is answered with its path, a batch with the items themselves.
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
        await asyncio.sleep(0)
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
def wire() -> Wire:
    return Wire()


@pytest.fixture
def coalescer(wire: Wire) -> Coalescer[str]:
    return Coalescer(ENDPOINT, wire.send)


Start = Callable[..., "asyncio.Task[str]"]


@pytest.fixture
def start(coalescer: Coalescer[str]) -> Start:
    def begin(name: str, size: int = 0) -> asyncio.Task[str]:
        return asyncio.create_task(coalescer.send(single(name, size)))

    return begin


async def test_lone_call_goes_out_alone_at_once(wire: Wire, start: Start) -> None:
    wire.gate.release()
    assert await start("a") == "a"
    wire.gate.release()
    assert await start("b") == "b"
    assert wire.requests == [["a"], ["b"]]


async def test_calls_made_meanwhile_go_out_together_in_order(wire: Wire, start: Start) -> None:
    first = start("a")
    await wire.next_request()
    others = [start(name) for name in "bcdef"]
    await asyncio.sleep(0)
    wire.gate.release()
    assert await wire.next_request() == ["b", "c", "d", "e", "f"]
    late = start("g")
    await asyncio.sleep(0)
    wire.gate.release()
    wire.gate.release()
    assert await asyncio.gather(first, *others, late) == list("abcdefg")
    assert wire.requests == [["a"], ["b", "c", "d", "e", "f"], ["g"]]


async def test_callers_that_come_back_at_once_share_the_next_request(
    wire: Wire, coalescer: Coalescer[str]
) -> None:
    async def caller(name: str) -> None:
        for _ in range(5):
            assert await coalescer.send(single(name)) == name

    for _ in range(6):
        wire.gate.release()
    await asyncio.gather(*(caller(name) for name in "abc"))
    assert [sorted(request) for request in wire.requests] == [
        ["a"],
        *[["a", "b", "c"]] * 4,
        ["b", "c"],
    ]


async def test_batch_is_bounded_in_items(wire: Wire, start: Start) -> None:
    tasks = [start("x")]
    await wire.next_request()
    tasks += [start(f"n{n}") for n in range(25)]
    await asyncio.sleep(0)
    for _ in range(4):
        wire.gate.release()
    await asyncio.gather(*tasks)
    assert [len(request) for request in wire.requests] == [1, 10, 10, 5]


async def test_batch_is_bounded_in_bytes(wire: Wire, start: Start) -> None:
    sizes = [1, 3_000_000, 900_000, 200_000, 5_000_000, 1]
    tasks = [start("x")]
    await wire.next_request()
    tasks += [start(f"n{n}", size) for n, size in enumerate(sizes)]
    await asyncio.sleep(0)
    for _ in range(5):
        wire.gate.release()
    await asyncio.gather(*tasks)
    assert wire.requests == [["x"], ["n0", "n1", "n2"], ["n3"], ["n4"], ["n5"]]


@pytest.mark.parametrize("culprit", ["b", "d", "f"])
async def test_call_that_spoils_a_batch_alone_gets_the_error(
    wire: Wire, start: Start, culprit: str
) -> None:
    wire.errors[culprit] = ValidationFailed("bad", code="VALIDATION_ERROR", status=400)
    tasks = [start("a")]
    await wire.next_request()
    tasks += [start(name) for name in "bcdef"]
    await asyncio.sleep(0)
    for _ in range(20):
        wire.gate.release()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for name, result in zip("abcdef", results, strict=True):
        assert isinstance(result, ValidationFailed) if name == culprit else result == name
    delivered = [name for request in wire.requests if culprit not in request for name in request]
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
async def test_what_is_wrong_with_all_is_told_to_all(
    wire: Wire, start: Start, error: Exception
) -> None:
    error.__cause__ = OSError("why")
    tasks = [start("a")]
    await wire.next_request()
    tasks += [start("b"), start("c")]
    await asyncio.sleep(0)
    wire.errors["c"] = error
    wire.gate.release()
    wire.gate.release()
    first, *failed = await asyncio.gather(*tasks, return_exceptions=True)
    assert first == "a"
    assert [type(result) for result in failed] == [type(error)] * 2
    assert [str(result) for result in failed] == [str(error)] * 2
    assert all(isinstance(r, Exception) and r.__cause__ is error.__cause__ for r in failed)
    assert len(wire.requests) == 2


async def test_errors_of_two_callers_are_two_objects(wire: Wire, start: Start) -> None:
    tasks = [start("a")]
    await wire.next_request()
    tasks += [start("b"), start("c")]
    await asyncio.sleep(0)
    wire.errors["c"] = Unauthorized("who?", code="UNAUTHORIZED", status=401, request_id="r")
    wire.gate.release()
    wire.gate.release()
    _, one, other = await asyncio.gather(*tasks, return_exceptions=True)
    assert one is not other
    assert isinstance(one, Unauthorized)
    assert (one.code, one.status, one.request_id) == ("UNAUTHORIZED", 401, "r")


async def test_error_of_the_first_call_does_not_stop_the_others(wire: Wire, start: Start) -> None:
    wire.errors["a"] = ConnectionLost("gone")
    first = start("a")
    await wire.next_request()
    second = start("b")
    await asyncio.sleep(0)
    wire.gate.release()
    wire.gate.release()
    with pytest.raises(ConnectionLost):
        await first
    assert await second == "b"


async def test_wrong_number_of_results_is_an_error_of_all(
    start: Start, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [start("a")]
    await wire.next_request()
    tasks += [start("b"), start("c")]
    await asyncio.sleep(0)
    monkeypatch.setattr(wire, "requests", Shortened())
    wire.gate.release()
    wire.gate.release()
    _, *failed = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in failed] == [BadReply, BadReply]


class Shortened(list[list[str]]):
    """Loses one item of each request."""

    def append(self, items: list[str]) -> None:
        items.pop()


async def test_cancelled_first_caller_does_not_stop_the_others(wire: Wire, start: Start) -> None:
    first = start("a")
    await wire.next_request()
    others = [start("b"), start("c")]
    await asyncio.sleep(0)
    first.cancel()
    wire.gate.release()
    assert await asyncio.gather(*others) == ["b", "c"]
    assert first.cancelled()


async def test_caller_cancelled_while_waiting_takes_its_call_along(
    wire: Wire, start: Start
) -> None:
    first = start("a")
    await wire.next_request()
    others = [start("b"), start("c"), start("d")]
    await asyncio.sleep(0)
    others[1].cancel()
    await asyncio.sleep(0)
    wire.gate.release()
    wire.gate.release()
    assert [await first, await others[0], await others[2]] == ["a", "b", "d"]
    assert wire.requests == [["a"], ["b", "d"]]


async def test_caller_cancelled_while_its_batch_is_out_does_not_break_it(
    wire: Wire, start: Start
) -> None:
    first = start("a")
    await wire.next_request()
    others = [start("b"), start("c")]
    await asyncio.sleep(0)
    wire.gate.release()
    await first
    await wire.next_request()
    others[0].cancel()
    await asyncio.sleep(0)
    wire.gate.release()
    assert await others[1] == "c"


async def test_when_all_waiting_callers_are_cancelled_nothing_is_sent(
    wire: Wire, start: Start, coalescer: Coalescer[str]
) -> None:
    first = start("a")
    await wire.next_request()
    waiting = start("b")
    await asyncio.sleep(0)
    waiting.cancel()
    wire.gate.release()
    await first
    await asyncio.wait_for(coalescer.drain(), 5)
    assert wire.requests == [["a"]]
    wire.gate.release()
    assert await start("c") == "c"


async def test_cancelled_pump_cancels_those_who_wait_for_it(
    wire: Wire, start: Start, coalescer: Coalescer[str]
) -> None:
    first = start("a")
    await wire.next_request()
    others = [start(f"n{n}") for n in range(12)]
    await asyncio.sleep(0)
    wire.gate.release()
    await first
    await wire.next_request()
    assert coalescer._pump is not None
    coalescer._pump.cancel()
    results = await asyncio.gather(*others, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    await asyncio.wait_for(coalescer.drain(), 5)


async def test_drain_waits_for_what_is_waiting(wire: Wire, start: Start) -> None:
    coalescers = Coalescers(wire.send)
    tasks = [asyncio.create_task(coalescers.send(single(name), ENDPOINT)) for name in "ab"]
    await wire.next_request()
    draining = asyncio.create_task(coalescers.drain())
    await asyncio.sleep(0)
    assert not draining.done()
    wire.gate.release()
    wire.gate.release()
    await asyncio.wait_for(draining, 5)
    assert [task.done() for task in tasks] == [True, True]
