"""Walking all pages while jobs come, are started and end: nothing twice, nothing missed."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from corvo_schema import SearchRequest, SortField, SortOrder
from server_support.bench import Bench
from server_support.clock import ManualClock
from server_support.kits import Kit, NewKit

# A job that is worked on moves in these orders; whoever walks them meets it at least where it was.
MOVING = {SortField.STATE, SortField.ATTEMPT}

QUEUES = ("a", "b")
PRIORITIES = ("critical", "normal", "high")

steps = st.lists(
    st.sampled_from(("enqueue", "start", "complete", "fail", "wait")), min_size=1, max_size=4
)


class World:
    """Jobs, and what happens to them."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.ids: list[str] = []
        self.held: list[Any] = []
        self.touched: set[str] = set()

    async def do(self, step: str) -> None:
        """One thing that happens, a millisecond after the last."""
        self.bench.clock.forward(1)
        if step == "enqueue":
            number = len(self.ids)
            at = self.bench.clock.now + 60_000 + number % 3 if number % 4 == 3 else None
            priority = PRIORITIES[number % 3]
            queue = QUEUES[number % 2]
            self.ids.append(await self.bench.enqueue(queue, at=at, priority=priority))
        elif step == "start":
            self.held += await self.bench.fetch(*QUEUES, count=2)
        elif step == "complete" and self.held:
            await self.bench.ack(self.held.pop(0))
        elif step == "fail" and self.held:
            await self.bench.fail(self.held.pop(), retry=False)
        self.touched |= {job.head.id for job in self.held}


async def walk(
    kit: Kit,
    prepared: list[str],
    between: list[list[str]],
    request: dict[str, Any],
) -> tuple[list[str], list[str], set[str]]:
    """The ids met, those that were there from the start, and those that something happened to."""
    bench = Bench(kit, kit.open(), ManualClock())
    world = World(bench)
    for step in prepared:
        await world.do(step)
    there, world.touched = list(world.ids), {job.head.id for job in world.held}
    met: list[str] = []
    cursor = None
    for happening in [*between, *[[]] * 1000]:
        asked = SearchRequest.model_validate({**request, "cursor": cursor})
        page = await bench.engine.search.jobs(asked)
        met += [job.head.id for job in page.jobs]
        cursor = page.cursor
        if cursor is None:
            break
        for step in happening:
            await world.do(step)
    await bench.store.close()
    return met, there, world.touched


def prepare(jobs: int, started: int, ended: list[bool]) -> list[str]:
    """Steps to so many jobs, some of them started, some of those completed or failed."""
    steps = ["enqueue"] * jobs + ["start"] * started
    return steps + ["complete" if is_good else "fail" for is_good in ended]


worlds = st.builds(
    prepare, st.integers(1, 14), st.integers(0, 4), st.lists(st.booleans(), max_size=5)
)


@settings(max_examples=60, deadline=None)
@given(
    worlds,
    st.lists(steps, max_size=8),
    st.sampled_from(SortField),
    st.sampled_from(SortOrder),
    st.integers(1, 4),
)
def test_walking_all_pages_meets_every_job_once(
    new_kit: NewKit,
    prepared: list[str],
    between: list[list[str]],
    sort: SortField,
    order: SortOrder,
    limit: int,
) -> None:
    request = {"sort": sort, "order": order, "limit": limit}
    with new_kit() as kit:
        met, there, touched = asyncio.run(walk(kit, prepared, between, request))
    if sort in MOVING:
        met = [job_id for job_id in met if job_id not in touched]
        there = [job_id for job_id in there if job_id not in touched]
    assert len(met) == len(set(met)), "a job was met twice"
    assert set(there) <= set(met), "a job was missed"


@settings(max_examples=30, deadline=None)
@given(
    worlds,
    st.lists(steps, max_size=8),
    st.sampled_from(sorted(set(SortField) - MOVING)),
    st.sampled_from(SortOrder),
)
def test_walking_the_jobs_of_a_queue_meets_every_one_once(
    new_kit: NewKit,
    prepared: list[str],
    between: list[list[str]],
    sort: SortField,
    order: SortOrder,
) -> None:
    request = {"sort": sort, "order": order, "limit": 1, "queue": "b"}
    with new_kit() as kit:
        met, there, _ = asyncio.run(walk(kit, prepared, between, request))
    assert len(met) == len(set(met))
    assert set(there[1::2]) <= set(met)
    assert not set(there[::2]) & set(met)
