"""Memory structures stay bounded, however many names callers use."""

import asyncio
import gc
from collections import deque
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

from corvo_schema import FetchBatchRequest
from corvo_schema.states import EventType
from corvo_server.engine.callers import Caller
from corvo_server.engine.engine import Engine
from corvo_server.engine.events import EventFilter
from corvo_server.engine.notifier import Notifier
from corvo_server.engine.workers import Workers
from corvo_server.store.records import Event
from server_support.bench import Bench, turns
from server_support.clock import ManualClock

_NAMES = 100_000
_BOUND = 10_500
"""Maximum length of any container. Caches keep up to 10,000 entries."""
_QUEUES_PER_FETCH = 250


def containers_of(root: object) -> Iterator[Any]:
    """Yield all containers that are reachable from `root` through data, not through code."""
    seen = {id(root)}
    waiting = [root]
    while waiting:
        for found in gc.get_referents(waiting.pop()):
            if id(found) in seen or isinstance(found, (type, ModuleType, FunctionType)):
                continue
            seen.add(id(found))
            if isinstance(found, (dict, list, set, deque)):
                yield found
            if type(found).__module__ not in {"asyncio.events", "uvloop"}:
                waiting.append(found)


def assert_bounded(root: object) -> None:
    """Assert that no container that is reachable from `root` has grown with the names."""
    gc.collect()
    assert [len(found) for found in containers_of(root) if len(found) > _BOUND] == []


async def test_fetches_of_many_queues_by_many_workers(bench: Bench) -> None:
    for first in range(0, _NAMES, _QUEUES_PER_FETCH):
        queues = [f"queue-{number}" for number in range(first, first + _QUEUES_PER_FETCH)]
        request = FetchBatchRequest(queues=queues, worker_id=f"worker-{first}", timeout=0)
        assert await bench.engine.attempts.fetch(request, 1) == []
    assert_bounded(bench.engine)


async def test_wakes_of_many_queues_are_forgotten() -> None:
    async def claim(number: int) -> None:
        claimed: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        waiter = notifier.wait([f"queue-{number}"], lambda: claimed)
        notifier.wake(f"queue-{number}", 1)
        claimed.set_result([])
        waiter.stop()
        await waiter.jobs(60)

    notifier = Notifier(lambda _: None)
    for number in range(_NAMES):
        notifier.wake(f"queue-{number}", 1)
    for number in range(1000):
        await claim(number)
    await turns()
    assert_bounded(notifier)
    assert vars(notifier)["_wakes"] == {}


def callers_of(workers: Workers) -> dict[str, Caller]:
    seen: dict[str, Caller] = vars(vars(workers)["_callers"])["_seen"]
    return seen


def test_calls_of_many_workers(engine: Engine, clock: ManualClock) -> None:
    workers = Workers(engine.store, clock)
    for number in range(_NAMES):
        workers.note_fetch(f"fetching-{number}", None, ())
        workers.note_heartbeat(f"beating-{number}")
        clock.forward(1)
    assert_bounded(workers)
    seen = callers_of(workers)
    assert f"fetching-{_NAMES - 1}" in seen
    assert f"beating-{_NAMES - 1}" in seen


async def test_sign_offs_of_many_workers(engine: Engine, clock: ManualClock) -> None:
    workers = Workers(engine.store, clock)
    for first in range(0, 30_000, 1_000):
        await asyncio.gather(*(workers.note_stop(f"w-{first + i}") for i in range(1_000)))
        clock.forward(1)
    assert_bounded(workers)
    assert await workers.list() == []


async def test_worker_that_calls_is_kept_when_many_others_call_once(
    engine: Engine, clock: ManualClock
) -> None:
    workers = Workers(engine.store, clock)
    for number in range(30_000):
        workers.note_fetch("steady", None, ())
        workers.note_fetch(f"once-{number}", None, ())
        clock.forward(1)
    assert "steady" in {record.id for record in await workers.list()}


def test_queues_of_many_workers(engine: Engine, clock: ManualClock) -> None:
    workers = Workers(engine.store, clock)
    for number in range(5_000):
        workers.note_fetch(f"worker-{number}", None, [f"{number}-{i}" for i in range(256)])
        workers.note_fetch(f"worker-{number}", None, [f"{number}-{i}" for i in range(255)])
        clock.forward(1)
    seen = callers_of(workers)
    names = sum(caller.size for caller in seen.values())
    assert 150_000 < names <= 200_000
    assert vars(vars(workers)["_callers"])["_queues"] == names
    assert "worker-4999" in seen


def test_lists_of_queues_of_one_worker(engine: Engine, clock: ManualClock) -> None:
    """A worker that fetches in groups is known with all of its queues, but not with any number."""
    workers = engine.workers
    for _ in range(3):
        workers.note_fetch("grouped", None, ["a", "b"])
        workers.note_fetch("grouped", None, ["c"])
    seen = callers_of(workers)
    assert list(seen["grouped"].lists) == [("a", "b"), ("c",)]
    for number in range(1000):
        clock.forward(1)
        workers.note_fetch("grouped", None, [f"q-{number}", f"r-{number}"])
    assert len(seen["grouped"].lists) == 64
    assert list(seen["grouped"].lists)[-1] == ("q-999", "r-999")
    assert vars(vars(workers)["_callers"])["_queues"] == 128


async def test_openings_of_many_queues(bench: Bench) -> None:
    notifier = bench.engine.notifier
    for number in range(1000):
        notifier.open_at(f"queue-{number}", 10**15)
    await bench.engine.queues.throttle("mail", 1, 1_000_000_000)
    for _ in range(2):
        await bench.enqueue()
    assert len(await bench.fetch(count=2)) == 1
    assert await bench.fetch() == []
    assert notifier.next_opening() is None
    waiting = await bench.waiting()
    assert notifier.next_opening() == bench.clock.now + 1_000_000_000
    waiting.cancel()
    await turns()
    assert notifier.next_opening() is None


async def test_memory_of_the_event_feed_is_bounded_in_bytes(engine: Engine) -> None:
    if engine.store.is_shared:
        return  # its followers read the log only
    for number in range(1, 12_001):
        large = "x" * 64_000 if number % 3 == 0 else None
        event = Event(number, EventType.PROGRESS, "job_1", "mail", 0, large)
        engine.events.note([event])
    recent: deque[Event] = vars(engine.events)["_recent"]
    assert sum(len(event.data or "") for event in recent) < 32_000_000
    ids = [event.id for event in recent]
    assert ids == list(range(12_001 - len(ids), 12_001))  # without a gap


async def test_follower_gets_events_that_are_too_large_for_the_memory(bench: Bench) -> None:
    job = await bench.start()
    for _ in range(3):
        await bench.heartbeat(job, progress={"message": "x" * 10_000})
        bench.clock.forward(10_000)  # progress is an event once in ten seconds
    await bench.ack(job)
    types: list[str] = []
    async for events in bench.engine.events.follow(0, EventFilter(), 60):
        types += [event.type for event in events]
        if types[-1] == "completed":
            break
    assert types == ["enqueued", "started", *["progress"] * 3, "completed"]
