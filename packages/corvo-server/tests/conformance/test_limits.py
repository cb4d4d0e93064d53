"""Limits of queues: active jobs, active jobs per key, and rate limits."""

import asyncio
from bisect import bisect_left

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corvo_schema.states import JobState
from server_support.bench import LEASE_MS, QUEUE, Bench
from server_support.clock import ManualClock
from server_support.kits import Kit, NewKit


async def test_no_more_jobs_are_active_than_the_limit(bench: Bench) -> None:
    await bench.engine.queues.limit(QUEUE, 2)
    jobs = [await bench.enqueue() for _ in range(3)]
    assert await bench.fetch_ids() == jobs[:2]
    assert await bench.fetch_ids() == []


async def test_limit_applies_across_the_fetches_of_one_commit(bench: Bench) -> None:
    await bench.engine.queues.limit(QUEUE, 3)
    for _ in range(6):
        await bench.enqueue()
    with bench.kit.hold_commits(bench.store):
        fetches = [bench.fetching(count=2) for _ in range(3)]
        await asyncio.sleep(0)
    assert sorted(len(jobs) for jobs in await asyncio.gather(*fetches)) == [0, 1, 2]


@pytest.mark.parametrize("end", ["ack", "fail", "release", "lease"])
async def test_waiting_fetch_gets_a_job_when_an_active_one_ends(end: str, bench: Bench) -> None:
    await bench.engine.queues.limit(QUEUE, 1)
    active = await bench.start()
    following = await bench.enqueue()
    waiting = await bench.waiting()
    if end == "ack":
        await bench.ack(active)
    elif end == "fail":
        await bench.fail(active)
    elif end == "release":
        await bench.release(active, delay=60_000)
    else:
        await bench.engine.jobs.cancel(active.head.id)
        await bench.tick(LEASE_MS)
    async with asyncio.timeout(5):
        assert [job.head.id for job in await waiting] == [following]


async def test_removing_the_limit_wakes_waiting_fetches(bench: Bench) -> None:
    await bench.engine.queues.limit(QUEUE, 1)
    await bench.start()
    following = await bench.enqueue()
    waiting = await bench.waiting()
    await bench.engine.queues.limit(QUEUE, None)
    async with asyncio.timeout(5):
        assert [job.head.id for job in await waiting] == [following]


async def test_queue_at_its_limit_does_not_block_others(bench: Bench) -> None:
    await bench.engine.queues.limit("full", 1)
    await bench.enqueue("full", priority="critical")
    await bench.fetch_one("full")
    await bench.enqueue("full", priority="critical")
    other = await bench.enqueue("other")
    assert await bench.fetch_ids("full", "other") == [other]


async def test_lowering_the_limit_does_not_stop_active_jobs(bench: Bench) -> None:
    active = [await bench.start() for _ in range(3)]
    await bench.enqueue()
    await bench.engine.queues.limit(QUEUE, 1)
    for job in active[:2]:
        await bench.ack(job)
        assert await bench.fetch_ids() == []
    await bench.ack(active[2])
    assert len(await bench.fetch_ids()) == 1


# Per key


async def test_no_more_jobs_of_a_key_are_active_than_the_limit(bench: Bench) -> None:
    await bench.engine.queues.limit_keys(QUEUE, 1)
    first = [await bench.enqueue(concurrency_key=key) for key in ("a", "b")]
    await bench.enqueue(concurrency_key="a")
    assert await bench.fetch_ids() == first
    assert await bench.fetch_ids() == []


async def test_jobs_without_a_key_are_not_limited_by_it(bench: Bench) -> None:
    await bench.engine.queues.limit_keys(QUEUE, 1)
    jobs = [await bench.enqueue() for _ in range(3)]
    assert await bench.fetch_ids() == jobs


async def test_keys_are_served_in_turn(bench: Bench) -> None:
    await bench.engine.queues.limit_keys(QUEUE, 10)
    many = [await bench.enqueue(concurrency_key="many") for _ in range(4)]
    few = [await bench.enqueue(concurrency_key="few") for _ in range(2)]
    order = [await bench.fetch_ids(count=1) for _ in range(6)]
    assert [job for (job,) in order] == [many[0], few[0], many[1], few[1], many[2], many[3]]


async def test_priority_comes_before_fairness(bench: Bench) -> None:
    await bench.engine.queues.limit_keys(QUEUE, 10)
    await bench.enqueue(concurrency_key="few")
    urgent = [await bench.enqueue(concurrency_key="many", priority="high") for _ in range(3)]
    assert await bench.fetch_ids(count=3) == urgent


async def test_key_at_its_limit_gets_a_job_when_its_active_one_ends(bench: Bench) -> None:
    await bench.engine.queues.limit_keys(QUEUE, 1)
    active = await bench.start(concurrency_key="a")
    following = await bench.enqueue(concurrency_key="a")
    waiting = await bench.waiting()
    await bench.ack(active)
    async with asyncio.timeout(5):
        assert [job.head.id for job in await waiting] == [following]


async def test_limits_of_queue_and_key_apply_together(bench: Bench) -> None:
    await bench.engine.queues.limit(QUEUE, 2)
    await bench.engine.queues.limit_keys(QUEUE, 1)
    for key in ("a", "a", "b", "c"):
        await bench.enqueue(concurrency_key=key)
    started = await bench.fetch(count=10)
    assert [job.head.concurrency_key for job in started] == ["a", "b"]


# Rate limit


async def test_no_more_jobs_start_in_a_window_than_the_rate(bench: Bench) -> None:
    await bench.engine.queues.throttle(QUEUE, 2, 1000)
    jobs = [await bench.enqueue() for _ in range(5)]
    assert await bench.fetch_ids() == jobs[:2]
    bench.clock.forward(999)
    assert await bench.fetch_ids() == []
    bench.clock.forward(1)
    assert await bench.fetch_ids() == jobs[2:4]


async def test_rate_limit_applies_across_a_restart(bench: Bench) -> None:
    await bench.engine.queues.throttle(QUEUE, 1, 1000)
    for _ in range(2):
        await bench.enqueue()
    assert len(await bench.fetch_ids()) == 1
    await bench.restart()
    assert await bench.fetch_ids() == []


async def test_waiting_fetch_is_served_when_the_window_allows(bench: Bench) -> None:
    await bench.engine.queues.throttle(QUEUE, 1, 1000)
    for _ in range(2):
        await bench.enqueue()
    await bench.fetch_one()
    waiting = await bench.waiting()
    maintenance = bench.engine.maintenance
    assert maintenance.next_opening() == bench.clock() + 1000
    assert maintenance.open_queues() == 0
    bench.clock.forward(1000)
    assert maintenance.open_queues() == 1
    async with asyncio.timeout(5):
        assert len(await waiting) == 1


async def test_queue_at_its_rate_limit_does_not_block_others(bench: Bench) -> None:
    await bench.engine.queues.throttle("slow", 1, 60_000)
    for _ in range(2):
        await bench.enqueue("slow", priority="critical")
    await bench.fetch_one("slow")
    other = await bench.enqueue("other")
    assert await bench.fetch_ids("slow", "other") == [other]


async def test_removing_the_rate_limit_wakes_waiting_fetches(bench: Bench) -> None:
    await bench.engine.queues.throttle(QUEUE, 1, 60_000)
    for _ in range(2):
        await bench.enqueue()
    await bench.fetch_one()
    waiting = await bench.waiting()
    await bench.engine.queues.throttle(QUEUE, None, None)
    async with asyncio.timeout(5):
        assert len(await waiting) == 1


@settings(max_examples=25, deadline=None)
@given(
    rate=st.integers(1, 4),
    window=st.integers(1, 50),
    fetches=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 5)), max_size=15),
)
def test_no_window_sees_more_starts_than_the_rate(
    new_kit: NewKit, rate: int, window: int, fetches: list[tuple[int, int]]
) -> None:
    async def history(kit: Kit) -> list[int]:
        bench = Bench(kit, kit.open(), ManualClock())
        await bench.engine.queues.throttle(QUEUE, rate, window)
        for _ in range(sum(count for _, count in fetches)):
            await bench.enqueue()
        starts = []
        for pause, count in fetches:
            bench.clock.forward(pause)
            started = await bench.fetch(count=count)
            starts += [job.head.started_at or 0 for job in started]
        await bench.store.close()
        return starts

    with new_kit() as kit:
        starts = asyncio.run(history(kit))
    for i, start in enumerate(starts):
        in_window = bisect_left(starts, start + window) - i
        assert in_window <= rate


# Limits and draining


async def test_limits_are_shown_with_the_queue(bench: Bench) -> None:
    await bench.engine.queues.limit(QUEUE, 5)
    await bench.engine.queues.limit_keys(QUEUE, 2)
    await bench.engine.queues.throttle(QUEUE, 100, 60_000)
    queue = await bench.queue()
    limits = (queue.max_concurrency, queue.max_per_key, queue.rate_limit, queue.rate_window)
    assert limits == (5, 2, 100, 60_000)


async def test_drained_queue_hands_out_nothing_and_lets_active_jobs_end(bench: Bench) -> None:
    active = await bench.start()
    await bench.enqueue()
    await bench.engine.queues.drain(QUEUE)
    queue = await bench.queue()
    assert (queue.is_paused, queue.is_draining) == (True, True)
    assert await bench.fetch_ids() == []
    await bench.ack(active)
    assert await bench.state(active) is JobState.COMPLETED
    await bench.engine.queues.resume(QUEUE)
    assert not (await bench.queue()).is_draining
    assert len(await bench.fetch_ids()) == 1
