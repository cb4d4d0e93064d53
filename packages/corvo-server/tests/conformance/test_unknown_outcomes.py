"""Commits of unknown outcome: every caller learns it, and the server goes on with true state."""

import asyncio
from functools import partial

import pytest

from corvo_schema import BulkRequest, new_job_id
from corvo_schema.states import EventType, JobState
from corvo_server.engine.errors import CallError
from corvo_server.engine.events import EventFilter
from corvo_server.services.bulk import BulkRunner
from corvo_server.services.promoter import Promoter
from corvo_server.store.bulk import BulkRecord
from corvo_server.store.protocol import OutcomeUnknown, StoreUnavailable
from server_support.bench import QUEUE, Bench, is_done, make_job, turns
from server_support.unknown_outcomes import hide_outcomes
from server_support.waiting import PATIENCE

both = pytest.mark.parametrize("are_stored", [True, False], ids=["stored", "not stored"])


@both
async def test_every_call_of_the_commit_learns_that_the_outcome_is_unknown(
    bench: Bench, *, are_stored: bool
) -> None:
    job = await bench.start()
    with hide_outcomes(bench.store, are_stored=are_stored):
        with bench.kit.hold_commits(bench.store):
            calls = [
                asyncio.ensure_future(call)
                for call in (bench.enqueue(), bench.ack(job), bench.enqueue("other"), bench.fetch())
            ]
            await turns()
        failed = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(error) for error in failed] == [OutcomeUnknown] * 4
    assert len({id(error) for error in failed}) == 4
    assert bench.store.failure == str(failed[0])
    stored = {QUEUE: 2, "other": 1} if are_stored else {QUEUE: 1}
    assert {q: sum(jobs.values()) for q, jobs in bench.kit.count_jobs().items()} == stored
    bench.kit.check_memory(bench.store)


@both
async def test_repeated_calls_have_one_effect(bench: Bench, *, are_stored: bool) -> None:
    acked, failed, released = [await bench.start() for _ in range(3)]
    job_id = new_job_id()
    calls = [
        partial(bench.try_enqueue, job_id=job_id),
        partial(bench.ack, acked),
        partial(bench.fail, failed),
        partial(bench.release, released),
    ]
    for call in calls:
        with hide_outcomes(bench.store, are_stored=are_stored), pytest.raises(OutcomeUnknown):
            await call()
    for call in calls:
        await call()
        bench.kit.check_memory(bench.store)
    states = [await bench.state(job.head.id) for job in (acked, failed, released)]
    assert states == [JobState.COMPLETED, JobState.RETRYING, JobState.PENDING]
    assert await bench.state(job_id) is JobState.PENDING
    await bench.check_counters()
    events = await bench.store.read_events(0, 100)
    kinds = sorted(event.type for event in events if event.type is not EventType.STARTED)
    assert kinds == sorted(
        [EventType.ENQUEUED] * 4 + [EventType.COMPLETED, EventType.RETRYING, EventType.RELEASED]
    )


@both
async def test_calls_after_an_unknown_outcome_see_what_is_stored(
    bench: Bench, *, are_stored: bool
) -> None:
    await bench.enqueue()
    first, second = new_job_id(), new_job_id()
    with hide_outcomes(bench.store, are_stored=are_stored), pytest.raises(OutcomeUnknown):
        await bench.try_enqueue(job_id=first, unique_key="k")
    assert (await bench.try_enqueue(job_id=second, unique_key="k")).is_new is not are_stored
    with hide_outcomes(bench.store, are_stored=are_stored), pytest.raises(OutcomeUnknown):
        await bench.fetch()
    left = await bench.fetch_ids(count=10)
    assert len(left) == (1 if are_stored else 2)
    bench.kit.check_memory(bench.store)


async def test_services_and_followers_find_what_was_stored(bench: Bench) -> None:
    promoter = Promoter(bench.engine.maintenance)
    waiting = asyncio.ensure_future(promoter.wait())
    followed = bench.engine.events.follow(0, EventFilter(), 60)
    await bench.enqueue()
    seen = [event.id for event in await anext(followed)]
    with hide_outcomes(bench.store, are_stored=True), pytest.raises(OutcomeUnknown):
        await bench.enqueue(at=bench.clock.now + 1_000)
    await asyncio.wait_for(waiting, PATIENCE)  # so it reads the time of the next job again
    await bench.enqueue()
    while len(seen) < 3:
        seen += [event.id for event in await asyncio.wait_for(anext(followed), PATIENCE)]
    await followed.aclose()
    assert seen == [event.id for event in await bench.store.read_events(0, 100)]


async def test_bulk_operation_continues_after_a_failure(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corvo_server.engine.bulk.CHUNK", 1)
    await bench.enqueue_batch(*(make_job() for _ in range(3)))
    runner = BulkRunner(bench.engine.bulk)
    await asyncio.wait_for(runner.wait(), PATIENCE)  # for operations of an earlier process
    request = {"action": "delete", "filter": {"queue": QUEUE}, "async": True}
    operation = await bench.engine.bulk.run(BulkRequest.model_validate(request))
    assert isinstance(operation, BulkRecord)
    for breaks, error in (
        (hide_outcomes(bench.store, are_stored=True), OutcomeUnknown),
        (bench.kit.break_commits(bench.store), StoreUnavailable),
    ):
        await asyncio.wait_for(runner.wait(), PATIENCE)
        with breaks, pytest.raises(error):
            await runner.run_once()
    await asyncio.wait_for(runner.wait(), PATIENCE)
    await runner.run_once()
    done = await bench.engine.bulk.get(operation.id)
    assert (done.status, done.affected) == ("completed", 3)


async def test_both_limits_of_a_queue_change_in_one_commit(bench: Bench) -> None:
    await bench.enqueue()
    bench.commits.clear()
    await bench.engine.queues.limit_both(QUEUE, 3, 2)
    queue = await bench.queue()
    assert (queue.max_concurrency, queue.max_per_key, len(bench.commits)) == (3, 2, 1)


async def test_refused_call_still_says_so_after_an_unknown_outcome(bench: Bench) -> None:
    with hide_outcomes(bench.store, are_stored=False), pytest.raises(OutcomeUnknown):
        await bench.enqueue()
    with pytest.raises(CallError, match="There is no job"):
        await bench.engine.jobs.cancel("missing")
    assert is_done(await bench.ack(await bench.start()))
