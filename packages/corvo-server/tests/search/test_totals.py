"""The total of a search: exact, or a lower bound if counting would take too long."""

from collections.abc import Awaitable, Callable
from itertools import count

import pytest

from corvo_schema.states import JobState
from corvo_server.engine.search import Page
from corvo_server.store.search.filters import JobFilter
from corvo_server.store.search.search import Search, Total
from server_support.bench import Bench

Find = Callable[..., Awaitable[Page]]


@pytest.fixture
def hasty(engine_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make counting stop after the first few jobs."""
    monkeypatch.setattr(f"corvo_server.store.{engine_name}.search._MIN_COUNTED", 3)
    monkeypatch.setattr(f"corvo_server.store.{engine_name}.search._COUNT_STEP", 4)
    seconds = count()
    monkeypatch.setattr(
        f"corvo_server.store.{engine_name}.search.perf_counter", lambda: next(seconds)
    )


async def total_of(bench: Bench, wanted: JobFilter, seconds: float, limit: int = 2) -> Total:
    request = Search(wanted, bench.clock.now, limit, count_seconds=seconds)
    return (await bench.store.search(request)).total


@pytest.mark.usefixtures("hasty")
async def test_a_total_that_takes_too_long_is_a_lower_bound(bench: Bench, find: Find) -> None:
    for number in range(20):
        await bench.enqueue(payload={"even": number % 2 == 0})
    wanted = JobFilter(payload_contains="true")
    total = await total_of(bench, wanted, seconds=0)
    assert not total.is_exact
    assert 3 <= total.jobs < 10
    assert await total_of(bench, wanted, seconds=60) == Total(10)
    assert await total_of(bench, wanted, seconds=0, limit=10) == Total(10)
    page = await find(payload_contains="true", limit=4)
    again = await find(payload_contains="true", limit=4, cursor=page.cursor)
    assert again.total == page.total


@pytest.mark.usefixtures("hasty")
async def test_totals_by_queue_and_state_come_from_the_counters(bench: Bench, find: Find) -> None:
    for state in (JobState.PENDING, JobState.CANCELLED, JobState.SCHEDULED):
        for queue, jobs in (("a", 5), ("b", 7)):
            for _ in range(jobs):
                await bench.bring_to(state, queue=queue)
    for fields, expected in (
        ({}, 36),
        ({"queue": "a"}, 15),
        ({"queue": "b", "state": ["pending"]}, 7),
        ({"state": ["pending", "cancelled"]}, 24),
        ({"queue": "c"}, 0),
        ({"state": ["dead"]}, 0),
    ):
        page = await find(**fields, limit=1)
        assert page.total == Total(expected), fields


async def test_the_total_of_few_jobs_is_exact_without_time_to_count(bench: Bench) -> None:
    for _ in range(50):
        await bench.enqueue(payload={"a": 1})
    assert await total_of(bench, JobFilter(payload_contains="a"), seconds=0) == Total(50)
