"""A search that takes too long is stopped, and affects no other request."""

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import pytest

from corvo_schema import BulkRequest
from corvo_schema.errors import ErrorCode
from corvo_server.engine.errors import CallError
from corvo_server.engine.search import Page
from corvo_server.store.postgres.pipeline import Pipeline
from corvo_server.store.protocol import SearchTooSlow, StoreUnavailable
from corvo_server.store.search.filters import JobFilter
from corvo_server.store.search.search import Search
from server_support.bench import Bench, turns, until
from server_support.clock import forward_loop

Find = Callable[..., Awaitable[Page]]

ENDLESS = (
    "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
)
ASLEEP = "SELECT pg_sleep(3600)"
SEARCHERS = 2
ANYTHING = Search(JobFilter(), as_of=0, limit=1)


def run_on(connection: sqlite3.Connection | Pipeline) -> object:
    """Run a statement that never ends."""
    if isinstance(connection, Pipeline):
        return connection.ask(ASLEEP)
    return connection.execute(ENDLESS).fetchone()


class Endless:
    """Replaces the search of the store by an endless one while `is_on`; counts running ones."""

    def __init__(self, real: Callable[..., object]) -> None:
        self.real = real
        self.is_on = True
        self.running = 0

    def __call__(self, connection: sqlite3.Connection | Pipeline, request: Search) -> object:
        if not self.is_on:
            return self.real(connection, request)
        self.running += 1
        try:
            return run_on(connection)
        finally:
            self.running -= 1


@pytest.fixture
def endless(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endless]:
    queries = bench.store._queries
    stand_in = Endless(queries.search)
    monkeypatch.setattr(bench.store, "_queries", replace(queries, search=stand_in))
    yield stand_in
    stand_in.is_on = False


@pytest.fixture
async def bench(bench: Bench) -> Bench:
    """Limit searches to a minute, and open all connections for searches."""
    searchers = bench.store._searchers
    all_connected = threading.Barrier(SEARCHERS)
    await asyncio.gather(
        *(searchers.run_within(60, lambda _: all_connected.wait()) for _ in range(SEARCHERS))
    )
    bench.store._search_seconds = 60
    return bench


async def after_a_minute(endless: Endless, *searches: Awaitable[object]) -> list[object]:
    """Start endless searches, let a minute pass on the loop's clock, and return their outcomes."""
    running = [asyncio.ensure_future(search) for search in searches]
    await until(lambda: endless.running == len(searches))
    await turns()  # let the loop process the begin of each search
    forward_loop(60)
    return await asyncio.gather(*running, return_exceptions=True)


async def test_a_slow_search_is_stopped_with_an_error(
    bench: Bench, find: Find, endless: Endless
) -> None:
    await bench.enqueue()
    (refused,) = await after_a_minute(endless, find(payload_jq=".a", error_contains="x"))
    assert isinstance(refused, CallError)
    assert refused.code is ErrorCode.VALIDATION_ERROR
    assert "longer than 60 seconds" in refused.message
    assert "Narrow it down" in refused.message
    assert [field for field, _ in refused.details] == ["payload_jq", "error_contains"]
    await until(lambda: endless.running == 0)
    (refused,) = await after_a_minute(endless, find())
    assert isinstance(refused, CallError)
    assert [field for field, _ in refused.details] == ["body"]
    await until(lambda: endless.running == 0)


async def test_connections_are_usable_after_a_search_was_stopped(
    bench: Bench, find: Find, endless: Endless
) -> None:
    await bench.enqueue()
    for _ in range(3):
        endless.is_on = True
        stopped = await after_a_minute(endless, *(find() for _ in range(SEARCHERS)))
        assert all(isinstance(error, CallError) for error in stopped)
        await until(lambda: endless.running == 0)
        endless.is_on = False
        pages = await asyncio.gather(*(find() for _ in range(SEARCHERS * 4)))
        assert all(len(page.jobs) == 1 for page in pages)


async def test_a_stop_never_interrupts_the_next_search(
    bench: Bench, find: Find, endless: Endless
) -> None:
    bench.store._search_seconds = 0.01
    endless.is_on = False
    await bench.enqueue()
    outcomes = await asyncio.gather(*(find() for _ in range(300)), return_exceptions=True)
    for outcome in outcomes:
        assert isinstance(outcome, Page | CallError | StoreUnavailable), outcome
    bench.store._search_seconds = 5
    assert len((await find()).jobs) == 1


async def test_slow_searches_do_not_block_writes_and_other_reads(
    bench: Bench, endless: Endless, find: Find
) -> None:
    searches = [asyncio.ensure_future(find()) for _ in range(SEARCHERS)]
    await until(lambda: endless.running == SEARCHERS)
    for _ in range(20):
        job_id = await bench.enqueue()
        assert await bench.state(job_id) == "pending"
        await bench.ack(await bench.fetch_one())
    assert endless.running == SEARCHERS
    for search_ in searches:
        search_.cancel()
    await until(lambda: endless.running == 0)


async def test_a_search_that_cannot_begin_in_time_raises_store_unavailable(
    bench: Bench, endless: Endless
) -> None:
    before = [asyncio.ensure_future(bench.store.search(ANYTHING)) for _ in range(SEARCHERS)]
    await until(lambda: endless.running == SEARCHERS)
    bench.store._search_seconds = 0.1
    outcomes = await asyncio.gather(
        *(bench.store.search(ANYTHING) for _ in range(3)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3
    for search_ in before:
        search_.cancel()
    await until(lambda: endless.running == 0)


async def test_a_search_that_takes_too_long_raises_search_too_slow(
    bench: Bench, endless: Endless
) -> None:
    searches = [bench.store.search(ANYTHING) for _ in range(SEARCHERS)]
    outcomes = await after_a_minute(endless, *searches)
    assert [type(outcome) for outcome in outcomes] == [SearchTooSlow] * SEARCHERS
    await until(lambda: endless.running == 0)


async def test_a_search_whose_caller_is_cancelled_is_stopped(
    bench: Bench, endless: Endless, find: Find
) -> None:
    search = asyncio.ensure_future(find())
    await until(lambda: endless.running == 1)
    search.cancel()
    await until(lambda: endless.running == 0)
    assert search.cancelled()


async def test_a_bulk_operation_that_searches_for_too_long_is_stopped_with_an_error(
    bench: Bench, endless: Endless, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.enqueue()
    queries = replace(
        bench.store._queries, matching_ids=lambda connection, *_: endless(connection, ANYTHING)
    )
    monkeypatch.setattr(bench.store, "_queries", queries)
    request = BulkRequest.model_validate({"action": "cancel", "filter": {"payload_jq": ".a"}})
    (refused,) = await after_a_minute(endless, bench.engine.bulk.run(request))
    assert isinstance(refused, CallError)
    assert "longer than 60 seconds" in refused.message
    assert [field for field, _ in refused.details] == ["filter.payload_jq"]
    assert (await bench.queue()).pending == 1
