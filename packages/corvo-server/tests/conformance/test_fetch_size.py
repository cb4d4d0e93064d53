"""A fetch returns as many jobs as fit into its limit in bytes, and at least one."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from corvo_server.engine.engine import Policy
from corvo_server.store.protocol import Store
from corvo_server.store.records import LeasedJob
from server_support.bench import Bench, turns
from server_support.clock import ManualClock
from server_support.kits import Kit

MAX_BYTES = 10_000


@pytest.fixture
async def bench(kit: Kit, store: Store, clock: ManualClock) -> AsyncIterator[Bench]:
    """A server whose fetches return up to `MAX_BYTES` of documents."""
    bench = Bench(kit, store, clock, Policy(max_fetch_bytes=MAX_BYTES))
    yield bench
    await bench.check_counters()
    await bench.store.close()


def text(size: int) -> str:
    """Return a payload of `size` bytes as JSON."""
    return "x" * (size - 2)


async def enqueue_sizes(bench: Bench, *sizes: int, **fields: object) -> list[str]:
    """Enqueue a job with a payload of each size. Return the ids."""
    return [await bench.enqueue(payload=text(size), **fields) for size in sizes]


def ids_of(jobs: list[LeasedJob]) -> list[str]:
    return [job.head.id for job in jobs]


async def test_fetch_stops_before_the_first_job_that_does_not_fit(bench: Bench) -> None:
    jobs = await enqueue_sizes(bench, 6000, 4000, 2, 9998, 2)
    assert await bench.fetch_ids() == jobs[:2]
    assert await bench.fetch_ids() == jobs[2:4]
    assert await bench.fetch_ids() == jobs[4:]
    assert await bench.fetch_ids() == []


async def test_job_of_any_size_is_fetched(bench: Bench) -> None:
    jobs = await enqueue_sizes(bench, 100_000, 100_000, 2)
    assert await bench.fetch_ids() == jobs[:1]
    assert await bench.fetch_ids() == jobs[1:2]
    assert await bench.fetch_ids() == jobs[2:]


async def test_bytes_count_not_characters(bench: Bench) -> None:
    jobs = [await bench.enqueue(payload="€" * 2000) for _ in range(3)]
    assert await bench.fetch_ids() == jobs[:1]


async def test_checkpoints_and_tags_count(bench: Bench) -> None:
    tagged = [await bench.enqueue(tags={"a": "x" * 1000}, payload=text(5000)) for _ in range(2)]
    assert await bench.fetch_ids() == tagged[:1]
    (job,) = await bench.fetch()
    await bench.release(job, checkpoint=text(6000))
    small = await bench.enqueue()
    assert await bench.fetch_ids() == tagged[1:]
    assert await bench.fetch_ids() == [small]


async def test_documents_arrive_whole(bench: Bench) -> None:
    await bench.enqueue(payload=text(1000), tags={"a": "b"})
    job = await bench.fetch_one()
    await bench.release(job, checkpoint=text(8000))
    await enqueue_sizes(bench, 500, 600)
    jobs = await bench.fetch(count=10)
    assert [len(job.payload) for job in jobs] == [1000, 500]
    assert [len(job.checkpoint or "") for job in jobs] == [8000, 0]
    assert [job.tags for job in jobs] == ['{"a":"b"}', None]


async def test_job_that_is_left_out_is_unchanged(bench: Bench) -> None:
    jobs = await enqueue_sizes(bench, 6000, 6000)
    before = await bench.job(jobs[1])
    await bench.fetch_ids()
    assert await bench.job(jobs[1]) == before
    (job,) = await bench.fetch(count=2)
    assert job.head.attempt == 1


async def test_priorities_keep_their_order(bench: Bench) -> None:
    low = await enqueue_sizes(bench, 2, 2, priority=2)
    high = await enqueue_sizes(bench, 6000, 6000, priority=0)
    assert await bench.fetch_ids() == high[:1]
    assert await bench.fetch_ids() == [high[1], *low]


async def test_limit_is_about_all_queues_of_a_fetch(bench: Bench) -> None:
    jobs = [await bench.enqueue(queue, payload=text(4000)) for queue in ("a", "b", "a", "b")]
    assert await bench.fetch_ids("a", "b") == jobs[:2]
    assert await bench.fetch_ids("a", "b") == jobs[2:]


async def test_jobs_left_out_do_not_use_the_rate(bench: Bench) -> None:
    await bench.engine.queues.throttle("mail", 3, 1000)
    jobs = await enqueue_sizes(bench, 6000, 6000, 6000, 6000)
    for job in jobs[:3]:
        assert await bench.fetch_ids() == [job]
    assert await bench.fetch_ids() == []
    bench.clock.forward(1000)
    assert await bench.fetch_ids() == jobs[3:]


async def test_jobs_left_out_do_not_use_the_concurrency(bench: Bench) -> None:
    await bench.engine.queues.limit("mail", 2)
    jobs = await enqueue_sizes(bench, 6000, 6000, 6000)
    assert [await bench.fetch_ids() for _ in range(3)] == [[jobs[0]], [jobs[1]], []]


async def test_keys_stay_fair(bench: Bench) -> None:
    await bench.engine.queues.limit_keys("mail", 2)
    first = await enqueue_sizes(bench, 6000, 6000, concurrency_key="a")
    other = await enqueue_sizes(bench, 6000, 6000, concurrency_key="b")
    got = [await bench.fetch_ids() for _ in range(5)]
    assert got == [[first[0]], [other[0]], [first[1]], [other[1]], []]


async def test_fetches_that_arrive_together_get_as_much_as_alone(bench: Bench) -> None:
    jobs = await enqueue_sizes(bench, *[4000] * 10)
    with bench.kit.hold_commits(bench.store):
        fetches = [bench.fetching(count=count) for count in (1, 3, 1, 512, 512, 512)]
        await turns()
    got = [ids_of(fetched) for fetched in await asyncio.gather(*fetches)]
    assert [len(ids) for ids in got] == [1, 2, 1, 2, 2, 2]
    assert [job_id for ids in got for job_id in ids] == jobs
    started = [sum(event.type == "started" for event in each.events) for each in bench.commits]
    assert max(started) == 2, "one commit started more than fits into the limit"


async def test_fetch_beside_others_waits_if_no_job_is_left(bench: Bench) -> None:
    jobs = await enqueue_sizes(bench, 6000, 6000)
    with bench.kit.hold_commits(bench.store):
        fetches = [bench.fetching(count=512, wait=60) for _ in range(3)]
        await turns()
    assert [ids_of(await fetch) for fetch in fetches[:2]] == [[job] for job in jobs]
    await bench.settle()
    assert not fetches[2].done()
    job = await bench.enqueue()
    assert ids_of(await fetches[2]) == [job]


async def test_waiting_fetches_share_large_jobs(bench: Bench) -> None:
    waiting = [await bench.waiting(count=512) for _ in range(2)]
    with bench.kit.hold_commits(bench.store):
        jobs = asyncio.ensure_future(enqueue_together(bench, 3))
        await turns()
    ids = await jobs
    got = [ids_of(fetched) for fetched in await asyncio.gather(*waiting)]
    assert got == [[ids[0]], [ids[1]]]
    assert await bench.fetch_ids() == ids[2:]


async def enqueue_together(bench: Bench, count: int) -> list[str]:
    calls = [bench.enqueue(payload=text(6000)) for _ in range(count)]
    return list(await asyncio.gather(*calls))


async def test_disconnected_fetch_that_was_postponed_takes_no_job(bench: Bench) -> None:
    jobs = await enqueue_sizes(bench, 6000, 6000)
    with bench.kit.hold_commits(bench.store):
        fetches = [bench.fetching(count=2, wait=60) for _ in range(2)]
        await turns()
        fetches[1].cancel()
    assert ids_of(await fetches[0]) == jobs[:1]
    await bench.settle()
    assert await bench.fetch_ids() == jobs[1:]


async def test_store_closes_after_postponed_fetches(bench: Bench) -> None:
    jobs = await enqueue_sizes(bench, 6000, 6000, 6000)
    with bench.kit.hold_commits(bench.store):
        fetches = [bench.fetching(count=2) for _ in range(3)]
        await turns()
        closing = asyncio.ensure_future(bench.store.close())
        await turns()
    assert [ids_of(await fetch) for fetch in fetches] == [[job] for job in jobs]
    await closing
    await bench.restart()
