"""Costly searches delay no cheap one, and callers take turns with them."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from corvo_server.engine.search import Page
from corvo_server.store import lanes as module
from corvo_server.store.lanes import Lane
from corvo_server.store.postgres.pipeline import Pipeline
from corvo_server.store.protocol import StoreUnavailable
from corvo_server.store.search.conditions import Path, Truthy
from corvo_server.store.search.filters import JobFilter
from corvo_server.store.search.search import Found, Search
from server_support.bench import Bench, until
from server_support.http import HttpServer, serve

Find = Callable[..., Awaitable[Page]]

ENDLESS = (
    "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
)
ASLEEP = "SELECT pg_sleep(3600)"
COSTLY = 2
"""Number of costly searches that run at once."""
SLOW = "slow"
"""A queue whose search never ends."""
BY_QUEUE = JobFilter(queue=SLOW)
BY_PAYLOAD = JobFilter(queue=SLOW, payload=Truthy(Path(("a",))))


class Slow:
    """Makes the searches of one queue endless. Notes by their limits which of them run."""

    def __init__(self, real: Callable[..., Found]) -> None:
        self.real = real
        self.is_on = True
        self.running: set[int] = set()
        self.callers: list[str | None] = []

    def __call__(self, connection: sqlite3.Connection | Pipeline, request: Search) -> object:
        self.callers.append(request.caller)
        if request.wanted.queue != SLOW or not self.is_on:
            return self.real(connection, request)
        self.running.add(request.limit)
        try:
            if isinstance(connection, Pipeline):
                return connection.ask(ASLEEP)
            return connection.execute(ENDLESS).fetchone()
        finally:
            self.running.discard(request.limit)


class Searches:
    """Searches that never end, each with a limit of its own as its number."""

    def __init__(self, bench: Bench, slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bench = bench
        self.slow = slow
        self._monkeypatch = monkeypatch
        self.tasks: dict[int, asyncio.Task[Found]] = {}

    def start(self, caller: str | None, wanted: JobFilter = BY_QUEUE) -> int:
        """Start one for `caller`, with a short try. Return its number."""
        self._monkeypatch.setattr(module, "_TRY_SECONDS", 0.01)
        number = len(self.tasks) + 1
        search = Search(wanted, as_of=0, limit=number, caller=caller)
        self.tasks[number] = asyncio.ensure_future(self.bench.store.search(search))
        return number

    async def settle(self, waiting: int) -> None:
        """Wait until the tries have ended: as many searches wait, the others run.

        Later tries last for ever, so that no cheap search counts as costly on a slow machine.
        """
        lanes = self.bench.store._lanes
        tries = (lanes._index_tries, lanes._document_tries)
        await until(
            lambda: (
                self.load() == (COSTLY, waiting)
                and len(self.slow.running) == COSTLY
                and not any(lane.taken for lane in tries)
            )
        )
        self._monkeypatch.setattr(module, "_TRY_SECONDS", 3600)

    def load(self) -> tuple[int, int]:
        load = self.bench.store.search_load
        return load.costly, load.waiting

    async def end_one(self, *numbers: int) -> None:
        """End one of these searches that runs."""
        number = next(iter(self.slow.running.intersection(numbers)))
        self.tasks[number].cancel()
        await until(lambda: number not in self.slow.running)


@pytest.fixture
def slow(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Slow:
    queries = bench.store._queries
    stand_in = Slow(queries.search)
    monkeypatch.setattr(bench.store, "_queries", replace(queries, search=stand_in))
    bench.store._search_seconds = 3600
    return stand_in


@pytest.fixture
async def searches(
    bench: Bench, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Searches]:
    searches = Searches(bench, slow, monkeypatch)
    yield searches
    for task in searches.tasks.values():
        task.cancel()
    await asyncio.gather(*searches.tasks.values(), return_exceptions=True)
    await until(lambda: not slow.running)


@pytest.mark.parametrize("wanted", [BY_QUEUE, BY_PAYLOAD], ids=["by queue", "by payload"])
async def test_cheap_reads_are_answered_while_costly_searches_take_all_their_turns(
    bench: Bench, searches: Searches, slow: Slow, find: Find, wanted: JobFilter
) -> None:
    job_id = await bench.enqueue(payload={"a": 1})
    for number in range(8):
        searches.start(f"caller-{number % 4}", wanted)
    await searches.settle(waiting=6)
    running = set(slow.running)
    async with asyncio.timeout(60):  # far from 3,600 s, after which a turn ends
        for _ in range(6):
            for filters in ({}, {"queue": "mail"}, {"payload_jq": ".a == 1"}, {"tags": {"a": "b"}}):
                page = await find(**filters)
                assert page.total.jobs == (0 if "tags" in filters else 1)
            assert await bench.state(job_id) == "pending"
    assert slow.running == running
    assert searches.load() == (COSTLY, 6)


async def test_cheap_search_of_a_caller_with_costly_ones_is_answered(
    bench: Bench, searches: Searches
) -> None:
    for _ in range(8):
        searches.start("same")
    await searches.settle(waiting=6)
    async with asyncio.timeout(60):
        found = await bench.store.search(Search(JobFilter(), as_of=0, limit=1, caller="same"))
    assert found.total.jobs == 0


async def test_costly_searches_of_one_caller_do_not_starve_those_of_another(
    searches: Searches, slow: Slow
) -> None:
    many = [searches.start("many") for _ in range(6)]
    await searches.settle(waiting=4)
    first, second = searches.start("one"), searches.start("two")
    await searches.settle(waiting=6)
    await searches.end_one(*many)
    await until(lambda: len(slow.running) == COSTLY)
    await searches.end_one(*many)
    await until(lambda: slow.running == {first, second})
    await searches.end_one(first)
    await until(lambda: len(slow.running) == COSTLY)
    assert len(slow.running.intersection(many)) == 1
    assert searches.load() == (COSTLY, 3)


async def test_search_that_was_stopped_after_its_try_is_answered_at_its_turn(
    bench: Bench, searches: Searches, slow: Slow
) -> None:
    await bench.enqueue(SLOW)
    numbers = [searches.start(None) for _ in range(3)]
    await searches.settle(waiting=1)
    (waiting,) = set(numbers) - slow.running
    slow.is_on = False
    await searches.end_one(*numbers)
    assert (await asyncio.wait_for(searches.tasks[waiting], 60)).total.jobs == 1


async def test_search_without_a_turn_is_refused_and_counted(
    bench: Bench, searches: Searches
) -> None:
    for _ in range(COSTLY):
        searches.start("first")
    await searches.settle(waiting=0)
    bench.store._search_seconds = 0.1
    with pytest.raises(StoreUnavailable, match="other searches"):
        await bench.store.search(Search(BY_QUEUE, as_of=0, limit=9, caller="second"))
    assert bench.store.search_load.refused == 1
    metrics = bench.engine.metrics.render([], 0).decode()
    assert "\ncorvo_searches_refused_total 1.0\n" in metrics
    assert "\ncorvo_costly_searches 2.0\n" in metrics
    assert "\ncorvo_waiting_searches 0.0\n" in metrics


async def test_callers_that_leave_give_their_turns_back(bench: Bench, searches: Searches) -> None:
    numbers = [searches.start("same", BY_PAYLOAD) for _ in range(6)]
    await searches.settle(waiting=4)
    for number in numbers:
        searches.tasks[number].cancel()
    await until(lambda: searches.load() == (0, 0))
    searches.start("other")
    searches.start("other")
    await searches.settle(waiting=0)


async def test_search_over_http_is_of_the_caller_with_its_address(bench: Bench, slow: Slow) -> None:
    async with serve(bench.engine) as server:
        await check_caller(server, slow)


async def check_caller(server: HttpServer, slow: Slow) -> None:
    assert (await server.post("/jobs/search", {})).status == 200
    assert slow.callers == ["127.0.0.1"]
    body = {"action": "cancel", "filter": {"queue": "none"}, "async": True}
    assert (await server.post("/jobs/bulk", body)).status == 202


class Turns:
    """Callers of a lane, in the order in which they get a connection."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.got: list[str] = []

    async def take(self, caller: str) -> None:
        await self.lane.take(caller, 3600)
        self.got.append(caller)


async def test_lane_serves_the_caller_with_the_fewest_connections_first() -> None:
    turns = Turns(Lane(2))
    takes = [asyncio.ensure_future(turns.take(caller)) for caller in "aaaabbc"]
    await until(lambda: turns.lane.waiting == 5)
    for caller in "aabcab":
        turns.lane.give_back(caller)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await asyncio.gather(*takes)
    assert turns.got == ["a", "a", "b", "c", "a", "b", "a"]
    turns.lane.give_back("a")
    assert (turns.lane.taken, turns.lane.waiting) == (0, 0)


async def test_lane_passes_over_a_take_that_was_cancelled_in_the_same_iteration() -> None:
    turns = Turns(Lane(1))
    first = asyncio.ensure_future(turns.take("a"))
    await first
    cancelled = asyncio.ensure_future(turns.take("b"))
    waiting = asyncio.ensure_future(turns.take("c"))
    await until(lambda: turns.lane.waiting == 2)
    cancelled.cancel()
    turns.lane.give_back("a")
    await waiting
    assert turns.got == ["a", "c"]


async def test_lane_keeps_no_connection_for_a_caller_that_left_with_its_turn() -> None:
    lane = Lane(1)
    await lane.take("a", 3600)
    leaving = asyncio.ensure_future(lane.take("b", 3600))
    await until(lambda: lane.waiting == 1)
    lane.give_back("a")
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert lane.taken == 0
    assert lane.take_now("c")
