"""The sort order of searches, and their pages."""

from collections.abc import Awaitable, Callable
from itertools import chain
from typing import Any

import pytest

from corvo_schema import SortField, SortOrder
from corvo_schema.states import JobState
from corvo_schema.timestamps import format_ms
from corvo_server.engine.search import Page
from corvo_server.store.records import JobHead
from server_support.bench import Bench

Find = Callable[..., Awaitable[Page]]
FindIds = Callable[..., Awaitable[list[str]]]

KEYS: dict[SortField, Callable[[JobHead], Any]] = {
    SortField.CREATED_AT: lambda job: job.created_at,
    SortField.SCHEDULED_AT: lambda job: job.scheduled_at,
    SortField.STARTED_AT: lambda job: job.started_at,
    SortField.COMPLETED_AT: lambda job: (
        job.finished_at if job.state is JobState.COMPLETED else None
    ),
    SortField.FAILED_AT: lambda job: job.failed_at,
    SortField.PRIORITY: lambda job: job.priority,
    SortField.ATTEMPT: lambda job: job.attempt,
    SortField.QUEUE: lambda job: job.queue,
    SortField.STATE: lambda job: job.state.value,
}


def in_order(jobs: list[JobHead], sort: SortField, order: SortOrder) -> list[str]:
    """Return the ids sorted by key and then by seq; jobs without the key come last."""
    key = KEYS[sort]
    with_key = sorted(
        (job for job in jobs if key(job) is not None), key=lambda job: (key(job), job.seq)
    )
    without = sorted((job for job in jobs if key(job) is None), key=lambda job: job.seq)
    if order is SortOrder.DESC:
        with_key.reverse()
        without.reverse()
    return [job.id for job in with_key + without]


@pytest.fixture
async def jobs(bench: Bench) -> list[JobHead]:
    """Store jobs of all states, with ties in every field."""
    states = [state for state in JobState if state is not JobState.PENDING]
    # Pending jobs come last: a fetch for the other states would take them otherwise.
    rounds = [states, states, [JobState.PENDING], [JobState.PENDING]]
    ids: list[str] = []
    for state in chain.from_iterable(rounds):
        for queue in ("b", "a/x"):
            priority = ("critical", "normal", "high", "normal")[len(ids) % 4]
            ids.append(await bench.bring_to(state, queue=queue, priority=priority))
        bench.clock.forward(500 * (len(ids) % 3))
    assert len(set(ids)) == 2 * 2 * len(JobState)
    return [await bench.head(job_id) for job_id in ids]


@pytest.mark.parametrize("order", SortOrder)
@pytest.mark.parametrize("sort", SortField)
async def test_pages_of_any_size_are_in_order(
    find_ids: FindIds, jobs: list[JobHead], sort: SortField, order: SortOrder
) -> None:
    for limit in (1, 3, 13, 14, 1000):
        assert await find_ids(sort=sort, order=order, limit=limit) == in_order(jobs, sort, order)


@pytest.mark.parametrize("order", SortOrder)
@pytest.mark.parametrize("sort", SortField)
async def test_pages_of_filtered_jobs_are_in_order(
    find_ids: FindIds, jobs: list[JobHead], sort: SortField, order: SortOrder
) -> None:
    states = [JobState.COMPLETED, JobState.ACTIVE, JobState.DEAD]
    some = [job for job in jobs if job.queue == "b" and job.state in states]
    found = await find_ids(sort=sort, order=order, limit=2, queue="b", state=states)
    assert found == in_order(some, sort, order)


async def test_the_newest_jobs_come_first_by_default(find: Find, jobs: list[JobHead]) -> None:
    page = await find(limit=5)
    assert [job.head.id for job in page.jobs] == [job.id for job in reversed(jobs)][:5]
    assert page.total.jobs == len(jobs)
    assert page.cursor is not None


async def test_a_full_last_page_has_no_cursor(find: Find, jobs: list[JobHead]) -> None:
    page = await find(limit=len(jobs))
    assert len(page.jobs) == len(jobs)
    assert page.cursor is None
    half = await find(limit=len(jobs) // 2)
    rest = await find(limit=len(jobs) // 2, cursor=half.cursor)
    assert rest.cursor is None


async def test_a_cursor_allows_another_page_size(find: Find, jobs: list[JobHead]) -> None:
    first = await find(limit=1, sort="priority")
    rest = await find(limit=1000, sort="priority", cursor=first.cursor)
    assert len(rest.jobs) == len(jobs) - 1
    assert rest.total == first.total


async def test_equivalent_filters_share_a_cursor(find: Find, jobs: list[JobHead]) -> None:
    first = await find(limit=1, state=["dead", "active"], tags={}, has_errors=None)
    page = await find(limit=1, state=["active", "dead", "dead"], cursor=first.cursor)
    assert len(page.jobs) == 1


async def test_a_page_of_large_documents_ends_early(
    bench: Bench,
    find: Find,
    find_ids: FindIds,
    engine_name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("corvo_server.store.search.page._LARGEST_PAGE", 3000)
    monkeypatch.setattr("corvo_server.store.search.page._JOBS_PER_LOAD", 2)
    ids = [await bench.enqueue(payload="x" * 1000) for _ in range(10)]
    page = await find(limit=8)
    assert len(page.jobs) == 2
    assert page.total.jobs == 10
    assert await find_ids(limit=8, order="asc") == ids


async def test_the_order_of_jobs_is_kept_when_the_clock_is_set_back(
    bench: Bench, find: Find, find_ids: FindIds
) -> None:
    ids = []
    for ms in (0, 5000, -60_000, 1000, 100_000):
        bench.clock.forward(ms)
        ids.append(await bench.enqueue())
    assert await find_ids(order="asc") == ids
    created = [(await bench.head(job_id)).created_at for job_id in ids]
    assert created == sorted(created)
    for job_id, at in zip(ids, created, strict=True):
        found = await find_ids(created_after=format_ms(at - 1), created_before=format_ms(at + 1))
        assert job_id in found
