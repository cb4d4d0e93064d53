"""Reading all pages while jobs are enqueued, started and finished: none twice, none missing."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from corvo_schema import SearchRequest, SortField, SortOrder
from server_support.bench import Bench
from server_support.clock import ManualClock
from server_support.kits import Kit, NewKit

# In these orders, a job moves when it is started or finished. It may then appear on two pages or on
# none, so the test ignores such jobs.
MOVING = {SortField.STATE, SortField.ATTEMPT}

QUEUES = ("a", "b")
PRIORITIES = ("critical", "normal", "high")

steps = st.lists(
    st.sampled_from(("enqueue", "start", "complete", "fail", "wait")), min_size=1, max_size=4
)


class World:
    """Enqueues, starts and finishes jobs, and remembers them."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.ids: list[str] = []
        self.active: list[Any] = []
        self.touched: set[str] = set()
        """Ids of the jobs that were started since the last reset."""

    async def do(self, step: str) -> None:
        """Do one step, a millisecond after the last one."""
        self.bench.clock.forward(1)
        if step == "enqueue":
            number = len(self.ids)
            at = self.bench.clock.now + 60_000 + number % 3 if number % 4 == 3 else None
            priority = PRIORITIES[number % 3]
            queue = QUEUES[number % 2]
            self.ids.append(await self.bench.enqueue(queue, at=at, priority=priority))
        elif step == "start":
            self.active += await self.bench.fetch(*QUEUES, count=2)
        elif step == "complete" and self.active:
            await self.bench.ack(self.active.pop(0))
        elif step == "fail" and self.active:
            await self.bench.fail(self.active.pop(), retry=False)
        self.touched |= {job.head.id for job in self.active}


async def read_pages(
    kit: Kit,
    prepared: list[str],
    between: list[list[str]],
    request: dict[str, Any],
) -> tuple[list[str], list[str], set[str]]:
    """Read all pages, with steps between them.

    Return the ids found, the ids of the jobs stored before, and the ids of the jobs started.
    """
    bench = Bench(kit, kit.open(), ManualClock())
    world = World(bench)
    for step in prepared:
        await world.do(step)
    stored, world.touched = list(world.ids), {job.head.id for job in world.active}
    found: list[str] = []
    cursor = None
    for steps_between in [*between, *[[]] * 1000]:
        asked = SearchRequest.model_validate({**request, "cursor": cursor})
        page = await bench.engine.search.jobs(asked)
        found += [job.head.id for job in page.jobs]
        cursor = page.cursor
        if cursor is None:
            break
        for step in steps_between:
            await world.do(step)
    await bench.store.close()
    return found, stored, world.touched


def prepare(jobs: int, started: int, ended: list[bool]) -> list[str]:
    """Return steps that enqueue `jobs` jobs, start some and complete or fail some of those."""
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
def test_all_pages_contain_every_job_once(
    new_kit: NewKit,
    prepared: list[str],
    between: list[list[str]],
    sort: SortField,
    order: SortOrder,
    limit: int,
) -> None:
    request = {"sort": sort, "order": order, "limit": limit}
    with new_kit() as kit:
        found, stored, touched = asyncio.run(read_pages(kit, prepared, between, request))
    if sort in MOVING:
        found = [job_id for job_id in found if job_id not in touched]
        stored = [job_id for job_id in stored if job_id not in touched]
    assert len(found) == len(set(found)), "a job was found twice"
    assert set(stored) <= set(found), "a job was not found"


@settings(max_examples=30, deadline=None)
@given(
    worlds,
    st.lists(steps, max_size=8),
    st.sampled_from(sorted(set(SortField) - MOVING)),
    st.sampled_from(SortOrder),
)
def test_all_pages_of_one_queue_contain_its_jobs_once(
    new_kit: NewKit,
    prepared: list[str],
    between: list[list[str]],
    sort: SortField,
    order: SortOrder,
) -> None:
    request = {"sort": sort, "order": order, "limit": 1, "queue": "b"}
    with new_kit() as kit:
        found, stored, _ = asyncio.run(read_pages(kit, prepared, between, request))
    assert len(found) == len(set(found))
    assert set(stored[1::2]) <= set(found)
    assert not set(stored[::2]) & set(found)
