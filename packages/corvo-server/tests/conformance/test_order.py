"""The order in which fetches get jobs."""

import asyncio

import pytest

from corvo_schema import BulkRequest
from corvo_schema.states import JobState
from server_support.bench import LEASE_MS, Bench, make_job, turns
from server_support.clock import START


async def test_fetch_takes_jobs_in_the_order_of_their_enqueue(bench: Bench) -> None:
    job_ids = [await bench.enqueue() for _ in range(20)]  # all within one millisecond
    assert await bench.fetch_ids() == job_ids
    assert job_ids == sorted(job_ids)


async def test_ids_increase_when_the_clock_goes_back(bench: Bench) -> None:
    first = await bench.enqueue()
    bench.clock.forward(-10_000)
    second = await bench.enqueue()
    assert first < second
    assert await bench.fetch_ids() == [first, second]


async def test_order_does_not_depend_on_ids_that_clients_chose(bench: Bench) -> None:
    late, early = "job_7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "job_00000000000000000000000000"
    await bench.enqueue(job_id=late)
    await bench.enqueue(job_id=early)
    assert await bench.fetch_ids() == [late, early]


async def test_fetch_takes_higher_priorities_first(bench: Bench) -> None:
    wanted: dict[str, list[str]] = {"critical": [], "high": [], "normal": []}
    for priority in ("normal", "critical", "high", "normal", "high", "critical"):
        wanted[priority].append(await bench.enqueue(priority=priority))
    assert await bench.fetch_ids() == [*wanted["critical"], *wanted["high"], *wanted["normal"]]


@pytest.mark.parametrize("number", [0, 1, 2])
async def test_priority_may_be_given_as_a_number(bench: Bench, number: int) -> None:
    job_id = await bench.enqueue(priority=number)
    assert (await bench.head(job_id)).priority == number


async def test_fetch_orders_the_jobs_of_several_queues_together(bench: Bench) -> None:
    b1 = await bench.enqueue("b")
    a1 = await bench.enqueue("a", priority="high")
    c1 = await bench.enqueue("c")
    b2 = await bench.enqueue("b", priority="critical")
    a2 = await bench.enqueue("a")
    await bench.enqueue("other")
    assert await bench.fetch_ids("a", "b", "c") == [b2, a1, b1, c1, a2]


async def test_fetch_takes_no_more_than_asked_for(bench: Bench) -> None:
    first, second, third = [await bench.enqueue(queue) for queue in ("a", "b", "a")]
    assert await bench.fetch_ids("a", "b", count=2) == [first, second]
    assert await bench.fetch_ids("a", "b", count=2) == [third]


async def test_fetch_that_names_a_queue_twice_gets_each_job_once(bench: Bench) -> None:
    job_ids = [await bench.enqueue() for _ in range(3)]
    assert await bench.fetch_ids("mail", "mail") == job_ids


async def test_fetch_from_an_unknown_queue_gets_nothing_and_creates_nothing(bench: Bench) -> None:
    assert await bench.fetch_ids("nowhere") == []
    assert await bench.store.find_queue("nowhere") is None


async def test_batch_keeps_the_order_of_its_request(bench: Bench) -> None:
    results, _ = await bench.enqueue_batch(*[make_job() for _ in range(50)])
    assert await bench.fetch_ids() == [result.job_id for result in results]


async def test_job_that_is_pending_again_keeps_its_place_in_the_order(bench: Bench) -> None:
    first = await bench.enqueue()
    second = await bench.enqueue()
    await bench.release(await bench.fetch_one())
    assert await bench.fetch_ids() == [first, second]
    await bench.tick(LEASE_MS)
    assert await bench.fetch_ids() == [first, second]


async def test_scheduled_jobs_keep_the_order_of_enqueue_once_due(bench: Bench) -> None:
    first = await bench.enqueue(at=START + 2000)
    second = await bench.enqueue(at=START + 1000)
    third = await bench.enqueue(at=START + 1000)
    await bench.tick(2000)
    assert await bench.fetch_ids() == [first, second, third]


async def test_fetches_of_one_commit_are_served_in_their_order(bench: Bench) -> None:
    job_ids = [await bench.enqueue() for _ in range(5)]
    with bench.kit.hold_commits(bench.store):
        fetches = [bench.fetching(count=2) for _ in range(3)]
        await turns()
    served = [[job.head.id for job in await fetch] for fetch in fetches]
    assert served == [job_ids[:2], job_ids[2:4], job_ids[4:]]


async def test_fetches_of_one_commit_from_different_queues_share_no_job(bench: Bench) -> None:
    a = [await bench.enqueue("a") for _ in range(3)]
    b = [await bench.enqueue("b") for _ in range(3)]
    with bench.kit.hold_commits(bench.store):
        fetches = [bench.fetching(*queues, count=2) for queues in (("a", "b"), ("b",), ("b", "a"))]
        await turns()
    served = [[job.head.id for job in await fetch] for fetch in fetches]
    assert served == [a[:2], b[:2], [a[2], b[2]]]


async def test_job_is_handed_out_once_among_many_fetches(bench: Bench) -> None:
    job_ids = {await bench.enqueue() for _ in range(40)}
    served = await asyncio.gather(*[bench.fetch(count=3) for _ in range(20)])
    handed_out = [job.head.id for jobs in served for job in jobs]
    assert len(handed_out) == 40
    assert set(handed_out) == job_ids
    tokens = {job.head.lease_token for jobs in served for job in jobs}
    assert len(tokens) == 40


async def test_paused_queue_does_not_block_the_others(bench: Bench) -> None:
    await bench.enqueue("a", priority="critical")
    b = await bench.enqueue("b")
    await bench.engine.queues.pause("a")
    assert await bench.fetch_ids("a", "b") == [b]


@pytest.mark.parametrize(
    "state", [state for state in JobState if state is not JobState.PENDING], ids=str
)
async def test_only_pending_jobs_are_handed_out(bench: Bench, state: JobState) -> None:
    await bench.bring_to(state)
    assert await bench.fetch_ids() == []


@pytest.mark.parametrize("removal", ["delete", "clear"])
async def test_a_new_job_is_ordered_after_a_deleted_one(bench: Bench, removal: str) -> None:
    await bench.enqueue("kept")
    removed = await bench.head(await bench.enqueue("q"))
    if removal == "delete":
        await bench.engine.jobs.delete(removed.id)
    else:
        await bench.engine.queues.clear("q")
    await bench.restart()
    new = await bench.head(await bench.enqueue("q"))
    assert new.seq > removed.seq


async def test_a_callback_is_ordered_after_the_job_whose_deletion_caused_it(bench: Bench) -> None:
    (last,), batch_id = await bench.enqueue_batch(make_job("q"), callback="callbacks")
    removed = await bench.head(last.job_id)
    await bench.engine.jobs.delete(removed.id)
    callback = await bench.head(str((await bench.batch(batch_id)).callback_job_id))
    assert callback.seq > removed.seq


async def test_a_bulk_operation_skips_a_job_enqueued_after_it_began(
    bench: Bench,
) -> None:
    last = await bench.enqueue("q")
    request = {"action": "cancel", "filter": {"queue": "q"}, "async": True}
    await bench.engine.bulk.run(BulkRequest.model_validate(request))
    await bench.engine.jobs.delete(last)
    new = await bench.enqueue("q")
    assert await bench.engine.bulk.step()
    assert await bench.state(new) is JobState.PENDING
