"""Commits: calls share them, each call is atomic, and refused calls are not written."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from corvo_schema import new_job_id
from corvo_schema.states import EventType, JobState
from corvo_server.engine import lifecycle
from corvo_server.store.protocol import Store, StoreOverloaded, StoreUnavailable
from corvo_server.store.records import JobHead, Outcome, Transition
from server_support.bench import Bench, is_done, make_job, turns, until
from server_support.clock import ManualClock
from server_support.kits import Kit


def kinds(bench: Bench) -> list[list[EventType]]:
    """Return the event types of each commit that has events."""
    return [[event.type for event in commit.events] for commit in bench.commits if commit.events]


async def gather_in_one_commit(bench: Bench, *calls: object) -> list[object]:
    """Make the calls in one commit. Return the result or the exception of each."""
    with bench.kit.hold_commits(bench.store):
        tasks = [asyncio.ensure_future(call) for call in calls]  # type: ignore[arg-type]
        await turns()
    bench.commits.clear()
    return await asyncio.gather(*tasks, return_exceptions=True)


def poison(_: JobHead) -> Outcome:
    raise RuntimeError("poisoned")


async def poisoned(bench: Bench, job_id: str) -> list[Outcome]:
    return await bench.store.transition([Transition(job_id, poison)])


async def test_calls_that_arrive_together_share_a_commit(bench: Bench) -> None:
    await gather_in_one_commit(bench, *[bench.enqueue() for _ in range(50)])
    assert kinds(bench) == [[EventType.ENQUEUED] * 50]


async def test_fetch_gets_a_job_enqueued_in_its_own_commit(bench: Bench) -> None:
    jobs, job_id = await gather_in_one_commit(bench, bench.fetch(), bench.enqueue())
    assert [job.head.id for job in jobs] == [job_id]  # type: ignore[attr-defined]
    assert kinds(bench) == [[EventType.ENQUEUED, EventType.STARTED]]


async def test_waiting_fetch_is_served_by_the_commit_that_brings_its_job(bench: Bench) -> None:
    waiting = await bench.waiting()
    (job_id,) = await gather_in_one_commit(bench, bench.enqueue())
    (job,) = await waiting
    assert job.head.id == job_id
    assert kinds(bench) == [[EventType.ENQUEUED, EventType.STARTED]]


async def test_waiting_fetch_is_served_by_that_commit_when_the_writer_is_idle(
    bench: Bench,
) -> None:
    for _ in range(10):
        waiting = await bench.waiting()
        bench.commits.clear()
        job_id = await bench.enqueue()
        (job,) = await waiting
        assert job.head.id == job_id
        assert kinds(bench) == [[EventType.ENQUEUED, EventType.STARTED]]


async def test_job_is_not_started_before_it_was_enqueued_by_a_faster_clock(
    bench: Bench, clock: ManualClock
) -> None:
    waiting = await bench.waiting()
    with bench.kit.hold_commits(bench.store):
        clock.forward(50)
        first = asyncio.ensure_future(bench.enqueue())
        await turns()
        clock.forward(-50)  # the next call comes from a server with a slower clock
        second = asyncio.ensure_future(bench.enqueue())
        await turns()
    job_id, _, (job,) = await asyncio.gather(first, second, waiting)
    assert job.head.id == job_id
    assert job.head.started_at is not None
    assert job.head.started_at >= job.head.created_at


async def test_batch_serves_as_many_waiting_fetches_as_it_has_jobs(bench: Bench) -> None:
    waiting = [await bench.waiting() for _ in range(3)]
    await gather_in_one_commit(bench, bench.enqueue_batch(make_job(), make_job()))
    served = await asyncio.gather(*waiting[:2])
    assert [len(jobs) for jobs in served] == [1, 1]
    await bench.settle()
    assert not waiting[2].done()
    waiting[2].cancel()


async def test_released_job_can_be_fetched_in_the_same_commit(bench: Bench) -> None:
    job = await bench.start()
    _, again = await gather_in_one_commit(bench, bench.release(job), bench.fetch())
    assert [item.head.id for item in again] == [job.head.id]  # type: ignore[attr-defined]
    assert kinds(bench) == [[EventType.RELEASED, EventType.STARTED]]


async def test_reply_comes_once_the_job_can_be_read(bench: Bench) -> None:
    for _ in range(20):
        assert await bench.state(await bench.enqueue()) is JobState.PENDING


async def test_refused_item_leaves_the_others_of_its_commit(bench: Bench) -> None:
    job = await bench.start()
    wrong, right = await gather_in_one_commit(bench, bench.ack(job, token="wrong"), bench.ack(job))
    assert type(wrong).__name__ == "Refusal"
    assert type(right).__name__ == "Change"


async def test_call_that_raises_fails_alone(bench: Bench) -> None:
    job = await bench.start()
    bad, *others = await gather_in_one_commit(
        bench,
        poisoned(bench, job.head.id),
        bench.enqueue("a"),
        bench.ack(job),
        bench.enqueue("b"),
        bench.fetch("a"),
    )
    assert isinstance(bad, RuntimeError)
    assert not [answer for answer in others if isinstance(answer, BaseException)]
    assert await bench.state(job) is JobState.COMPLETED
    assert [(await bench.queue(name)).enqueued for name in "ab"] == [1, 1]
    assert await bench.events(job) == [
        EventType.ENQUEUED,
        EventType.STARTED,
        EventType.COMPLETED,
    ]


async def test_call_that_raises_undoes_all_items_of_its_request(bench: Bench) -> None:
    jobs = [await bench.start() for _ in range(2)]
    before = [await bench.job(job) for job in jobs]

    def cancel(job: JobHead) -> Outcome:
        return lifecycle.cancel(job, 0)

    call = bench.store.transition(
        [Transition(jobs[0].head.id, cancel), Transition(jobs[1].head.id, poison)]
    )
    with pytest.raises(RuntimeError, match="poisoned"):
        await call
    assert [await bench.job(job) for job in jobs] == before


async def test_store_works_after_a_call_that_raised(bench: Bench) -> None:
    job_id = await bench.enqueue()
    with pytest.raises(RuntimeError, match="poisoned"):
        await poisoned(bench, job_id)
    assert await bench.fetch_ids() == [job_id]


async def test_failed_commit_fails_every_call_and_writes_nothing(bench: Bench) -> None:
    job = await bench.start(unique_key="k")
    before = await bench.job(job), await bench.queue()
    rows = bench.kit.count_rows("events")
    waiting = await bench.waiting("other")
    with bench.kit.break_commits(bench.store):
        failed = await gather_in_one_commit(
            bench,
            bench.enqueue(),
            bench.ack(job),
            bench.enqueue_batch(make_job("a"), callback="b"),
            bench.fetch(),
        )
    assert [type(error) for error in failed] == [StoreUnavailable] * 4
    assert len({id(error) for error in failed}) == 4
    assert "disk is full" in str(failed[0])
    assert bench.commits == []
    assert (await bench.job(job), await bench.queue()) == before
    assert bench.kit.count_rows("events") == rows
    assert bench.kit.count_rows("batches") == 0
    assert (await bench.try_enqueue(unique_key="k")).job_id == job.head.id
    assert await bench.store.find_queue("a") is None
    assert not waiting.done()
    waiting.cancel()


async def test_failed_commit_is_not_retried(bench: Bench) -> None:
    with bench.kit.break_commits(bench.store, times=2):  # the blocking commit, and the next
        failed = await gather_in_one_commit(bench, *[bench.enqueue() for _ in range(5)])
    assert [type(error) for error in failed] == [StoreUnavailable] * 5
    assert bench.kit.count_jobs() == {}


async def test_store_works_after_a_failed_commit(bench: Bench) -> None:
    first = await bench.enqueue()
    with bench.kit.break_commits(bench.store), pytest.raises(StoreUnavailable):
        await bench.enqueue()
    second = await bench.enqueue()
    assert await bench.fetch_ids() == [first, second]
    events = await bench.store.read_events(0, 100)
    bench.assert_listeners_got(events)
    ids = [event.id for event in events]
    assert ids == sorted(set(ids))


async def test_waiting_fetch_fails_with_its_commit(bench: Bench) -> None:
    waiting = await bench.waiting()
    with bench.kit.break_commits(bench.store):
        with pytest.raises(StoreUnavailable):
            await bench.enqueue()
        await bench.settle()
    # The claim of the waiting fetch was part of the failed commit.
    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(waiting, 5)


# A full backlog


NewStore = Callable[..., Awaitable[Store]]


@pytest.fixture
async def new_store(kit: Kit) -> AsyncIterator[NewStore]:
    """Opens a store with options, and closes it after the test."""
    stores: list[Store] = []

    async def open_store(**options: int) -> Store:
        stores.append(kit.open(**options))
        return stores[-1]

    yield open_store
    for store in stores:
        await store.close()


@pytest.fixture
async def narrow(kit: Kit) -> AsyncIterator[Store]:
    """A store with a backlog of at most three writes."""
    store = kit.open(max_backlog=3)
    yield store
    await store.close()


async def test_write_beyond_the_backlog_is_refused(kit: Kit, narrow: Store) -> None:
    bench = Bench(kit, narrow, ManualClock())
    with kit.hold_commits(narrow):  # the blocking write is one of the three
        accepted = [asyncio.ensure_future(bench.enqueue()) for _ in range(2)]
        await turns()
        assert narrow.backlog == 3
        for call in (bench.enqueue(), bench.fetch(), bench.engine.queues.pause("new")):
            with pytest.raises(StoreOverloaded, match="3"):
                await call
    job_ids = await asyncio.gather(*accepted)
    assert narrow.backlog == 0
    assert await bench.store.find_queue("new") is None
    assert await bench.fetch_ids() == job_ids
    assert (await bench.queue()).enqueued == 2


async def test_overloaded_store_still_answers_reads(kit: Kit, narrow: Store) -> None:
    bench = Bench(kit, narrow, ManualClock())
    job_id = await bench.enqueue()
    with kit.hold_commits(narrow):
        more = [asyncio.ensure_future(bench.enqueue()) for _ in range(2)]
        await turns()
        assert await bench.state(job_id) is JobState.PENDING
        await narrow.check()
    await asyncio.gather(*more)


async def test_writes_beyond_the_memory_of_the_backlog_are_refused(
    kit: Kit, new_store: NewStore
) -> None:
    bench = Bench(kit, await new_store(max_backlog_bytes=100_000), ManualClock())
    job = await bench.start(queue="running")
    with kit.hold_commits(bench.store):
        accepted = [asyncio.ensure_future(bench.enqueue(payload="x" * 40_000)) for _ in range(2)]
        await turns()
        assert 80_000 < bench.store.backlog_bytes < 100_000
        with pytest.raises(StoreOverloaded, match="bytes are waiting"):
            await bench.enqueue(payload="x" * 40_000)
        accepted.append(asyncio.ensure_future(bench.enqueue(payload="small")))
        # The jobs that run are reported.
        ended = asyncio.ensure_future(bench.ack(job, result="y" * 80_000))
        await turns()
        with pytest.raises(StoreOverloaded):
            await bench.enqueue(payload="small")
    job_ids = await asyncio.gather(*accepted)
    assert is_done(await ended)
    await bench.settle()
    assert bench.store.backlog_bytes == 0
    assert await bench.fetch_ids() == job_ids


async def test_write_larger_than_the_backlog_is_accepted_alone(
    kit: Kit, new_store: NewStore
) -> None:
    bench = Bench(kit, await new_store(max_backlog_bytes=1), ManualClock())
    job_id = await bench.enqueue(payload="x" * 40_000)
    assert await bench.fetch_ids() == [job_id]


async def test_memory_of_cancelled_and_failed_writes_is_freed(kit: Kit, store: Store) -> None:
    bench = Bench(kit, store, ManualClock())
    with kit.break_commits(store), pytest.raises(StoreUnavailable):
        await bench.enqueue(payload="x" * 40_000)
    with kit.hold_commits(store):
        calls = [asyncio.ensure_future(bench.enqueue(payload="x" * 40_000)) for _ in range(3)]
        await turns()
        for call in calls:
            call.cancel()
        await turns()
    await bench.settle()
    assert store.backlog_bytes == 0


async def test_commit_takes_a_limited_number_of_bytes(kit: Kit, store: Store) -> None:
    bench = Bench(kit, store, ManualClock())
    with kit.hold_commits(store):
        calls = [asyncio.ensure_future(bench.enqueue(payload="x" * 250_000)) for _ in range(80)]
        await turns()
    job_ids = await asyncio.gather(*calls)
    sizes = [len(commit.events) for commit in bench.commits]
    assert max(sizes) * 250_000 < 8.5 * 2**20
    assert sum(sizes) == 80
    await bench.settle()
    assert {job.head.id for job in await store.find_jobs(job_ids)} == set(job_ids)


# Cancelled calls


async def test_call_cancelled_before_its_commit_is_not_written(bench: Bench) -> None:
    job = await bench.start()
    with bench.kit.hold_commits(bench.store):
        calls = [
            asyncio.ensure_future(call)
            for call in (bench.enqueue("a"), bench.ack(job), bench.enqueue("b"))
        ]
        await turns()
        calls[0].cancel()
        calls[1].cancel()
        await turns()
    await calls[2]
    assert await bench.store.find_queue("a") is None
    assert await bench.state(job) is JobState.ACTIVE
    assert bench.store.backlog == 0


async def test_all_calls_of_a_commit_can_be_cancelled(bench: Bench) -> None:
    with bench.kit.hold_commits(bench.store):
        calls = [asyncio.ensure_future(bench.enqueue()) for _ in range(3)]
        await turns()
        for call in calls:
            call.cancel()
        await turns()
    await bench.settle()
    assert bench.kit.count_jobs() == {}


async def test_call_cancelled_after_its_commit_is_written(bench: Bench) -> None:
    job_id = new_job_id()
    call = asyncio.ensure_future(bench.enqueue(job_id=job_id))
    await turns()
    with bench.kit.hold_commits(bench.store):  # the enqueue is committed, but not answered
        call.cancel()
        await turns()
    await bench.settle()
    assert call.cancelled()
    assert (await bench.try_enqueue(job_id=job_id)).is_new in (True, False)
    assert (await bench.queue()).enqueued == 1


# Closing


async def test_close_finishes_what_was_submitted(bench: Bench) -> None:
    calls = [asyncio.ensure_future(bench.enqueue()) for _ in range(20)]
    await turns()
    await bench.restart()
    job_ids = await asyncio.gather(*calls)
    assert await bench.fetch_ids() == job_ids


async def test_closed_store_refuses_all_calls(kit: Kit, bench: Bench) -> None:
    job_id = await bench.enqueue()
    closed = bench.store
    await bench.restart()
    with pytest.raises(StoreUnavailable, match="shutting down"):
        closed.transition([])
    with pytest.raises(StoreUnavailable):
        await closed.check()
    with pytest.raises(StoreUnavailable):
        await closed.find_job(job_id)
    await closed.close()  # a second close does nothing
    assert await bench.state(job_id) is JobState.PENDING


async def test_open_store_passes_its_check(bench: Bench) -> None:
    await bench.store.check()
    await bench.enqueue()
    await bench.store.check()
    await until(lambda: bench.store.backlog == 0)


async def test_failing_listener_does_not_block_callers(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("a bug in a listener")

    bench.store.on_commit(fail)
    later: list[object] = []
    bench.store.on_commit(later.append)
    job_id = await asyncio.wait_for(bench.enqueue(), 5)
    assert await bench.fetch_ids() == [job_id]
    assert len(later) == 2
    assert "a bug in a listener" in caplog.text


async def test_promotion_lag_is_measured_once_per_stored_promotion(
    bench: Bench,
) -> None:
    await bench.enqueue(at=bench.clock.now + 1_000)
    bench.clock.forward(3_500)
    with bench.kit.break_commits(bench.store), pytest.raises(StoreUnavailable):
        await bench.engine.maintenance.promote()
    await bench.engine.maintenance.promote()
    lines = bench.engine.metrics.render([], bench.clock.now).decode().splitlines()
    assert "corvo_promotion_lag_seconds_count 1.0" in lines
    assert "corvo_promotion_lag_seconds_sum 2.5" in lines
