"""Clear, delete and bulk calls: each is one transaction, or a bulk operation that always ends."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from corvo_schema import BulkRequest, BulkStatus
from corvo_schema.errors import ErrorCode
from corvo_schema.states import EventType, JobState
from corvo_server.engine import bulk as bulk_module
from corvo_server.engine import queues as queues_module
from corvo_server.engine.bulk import BulkDone
from corvo_server.engine.errors import CallError
from corvo_server.services.bulk import BulkRunner
from corvo_server.services.service import end_all, start_all
from corvo_server.store.bulk import BulkRecord
from corvo_server.store.protocol import SearchTooSlow, StoreUnavailable
from server_support.bench import QUEUE, Bench, make_job, turns, until

VERBS = ["clear", "delete"]
JOBS = 7
AT_ONCE, CHUNK = 3, 2


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let calls on more than three jobs be bulk operations, for whose end no call waits."""
    monkeypatch.setattr(bulk_module, "AT_ONCE", AT_ONCE)
    monkeypatch.setattr(queues_module, "AT_ONCE", AT_ONCE)
    monkeypatch.setattr(bulk_module, "CHUNK", CHUNK)
    monkeypatch.setattr(bulk_module, "_LONGEST_WAIT", 0)


async def begin(bench: Bench, verb: str, queue: str = QUEUE) -> BulkRecord:
    """Start a large clear or delete, which must become a bulk operation."""
    record = await getattr(bench.engine.queues, verb)(queue)
    assert isinstance(record, BulkRecord)
    return record


async def finish(bench: Bench) -> None:
    """Carry out all bulk operations."""
    while await bench.engine.bulk.step():
        pass


async def fill(bench: Bench, jobs: int = JOBS, **fields: Any) -> list[str]:
    """Enqueue jobs."""
    return [await bench.enqueue(**fields) for _ in range(jobs)]


# One transaction


@pytest.mark.parametrize("verb", VERBS)
async def test_small_call_is_one_commit(bench: Bench, verb: str) -> None:
    await fill(bench, AT_ONCE)
    bench.commits.clear()
    assert await getattr(bench.engine.queues, verb)(QUEUE) == AT_ONCE
    (commit,) = bench.commits
    assert [event.type for event in commit.events] == [EventType.DELETED] * AT_ONCE


@pytest.mark.parametrize("jobs", [AT_ONCE, JOBS])
@pytest.mark.parametrize("verb", VERBS)
async def test_call_whose_commit_fails_changes_nothing(bench: Bench, verb: str, jobs: int) -> None:
    job_ids = await fill(bench, jobs)
    before = await bench.queue()
    with bench.kit.break_commits(bench.store), pytest.raises(StoreUnavailable):
        await getattr(bench.engine.queues, verb)(QUEUE)
    assert await bench.queue() == before
    assert await bench.engine.bulk.list() == []
    assert await bench.fetch_ids() == job_ids


@pytest.mark.parametrize("jobs", [1, JOBS])
async def test_delete_is_refused_while_a_job_is_active(bench: Bench, jobs: int) -> None:
    await bench.start()
    job_ids = await fill(bench, jobs)
    before = await bench.queue()
    with pytest.raises(CallError) as refused:
        await bench.engine.queues.delete(QUEUE)
    assert refused.value.code is ErrorCode.INVALID_STATE
    assert await bench.queue() == before
    assert await bench.fetch_ids() == job_ids


async def test_delete_sees_the_fetch_that_was_committed_before_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job starts after the call has looked for jobs, before it deletes them."""
    await fill(bench, 2)
    search = bench.store.matching_ids

    async def search_and_fetch(*wanted: Any) -> Any:
        found = await search(*wanted)
        await bench.fetch_one()
        return found

    monkeypatch.setattr(bench.store, "matching_ids", search_and_fetch)
    with pytest.raises(CallError) as refused:
        await bench.engine.queues.delete(QUEUE)
    assert refused.value.code is ErrorCode.INVALID_STATE
    queue = await bench.queue()
    assert (queue.active, queue.pending) == (1, 1)


async def test_empty_queue_is_deleted(bench: Bench) -> None:
    await bench.engine.queues.pause(QUEUE)
    assert await bench.engine.queues.clear(QUEUE) == 0
    assert await bench.engine.queues.delete(QUEUE) == 0
    assert await bench.store.list_queues() == []


async def test_callback_of_a_deleted_batch_stays_in_a_new_queue(bench: Bench) -> None:
    _, batch_id = await bench.enqueue_batch(make_job(), make_job(), callback=QUEUE)
    await bench.engine.queues.limit(QUEUE, 5)
    await bench.engine.queues.pause(QUEUE)
    assert await bench.engine.queues.delete(QUEUE) == 2
    queue = await bench.queue()
    assert (queue.is_paused, queue.max_concurrency, queue.pending) == (False, None, 1)
    callback = await bench.fetch_one()
    assert callback.head.id == (await bench.batch(batch_id)).callback_job_id


async def test_small_bulk_is_one_commit(bench: Bench) -> None:
    job_ids = await fill(bench, AT_ONCE)
    bench.commits.clear()
    request = BulkRequest.model_validate({"action": "cancel", "job_ids": job_ids})
    done = await bench.engine.bulk.run(request)
    assert isinstance(done, BulkDone)
    assert done.affected == AT_ONCE
    (commit,) = bench.commits
    assert [event.type for event in commit.events] == [EventType.CANCELLED] * AT_ONCE


async def test_both_limits_are_set_in_one_commit(bench: Bench) -> None:
    with bench.kit.break_commits(bench.store, times=1), pytest.raises(StoreUnavailable):
        await bench.engine.queues.limit_both(QUEUE, 5, 2)
    assert await bench.store.find_queue(QUEUE) is None
    bench.commits.clear()
    await bench.engine.queues.limit_both(QUEUE, 5, 2)
    assert len(bench.commits) == 1
    queue = await bench.queue()
    assert (queue.max_concurrency, queue.max_per_key) == (5, 2)


# A bulk operation


@pytest.mark.parametrize("verb", VERBS)
async def test_large_call_stores_an_operation(bench: Bench, verb: str) -> None:
    await fill(bench)
    record = await begin(bench, verb)
    assert (record.status, record.total, record.action) == (
        BulkStatus.QUEUED,
        JOBS,
        f"{verb}_queue",
    )
    queue = await bench.queue()
    assert (queue.is_paused, queue.pending) == (False, JOBS)
    assert bench.kit.find_problems() == []
    await finish(bench)
    ended = await bench.engine.bulk.get(record.id)
    assert (ended.status, ended.affected, ended.errors) == (BulkStatus.COMPLETED, JOBS, 0)
    assert bench.kit.count_jobs() == {}
    names = [queue.name for queue in await bench.store.list_queues()]
    assert names == ([QUEUE] if verb == "clear" else [])


async def test_large_clear_deletes_only_pending_and_scheduled_jobs(bench: Bench) -> None:
    states = sorted(JobState, key=lambda state: state is JobState.PENDING)
    jobs = {state: [await bench.bring_to(state) for _ in range(2)] for state in states[:-1]}
    jobs[JobState.PENDING] = await fill(bench, 2)
    await begin(bench, "clear")
    await finish(bench)
    gone = {JobState.PENDING, JobState.SCHEDULED}
    left = await bench.engine.jobs.bulk_get([job for each in jobs.values() for job in each])
    assert {record.head.id for record in left} == {
        job for state, each in jobs.items() if state not in gone for job in each
    }


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("options", "per_key"),
    [({}, None), ({"concurrency_key": "k"}, 5), ({}, 5)],
    ids=["plain", "with keys", "without keys"],
)
async def test_fetch_starts_only_jobs_that_are_newer_than_the_call(
    bench: Bench, verb: str, options: dict[str, Any], per_key: int | None
) -> None:
    if per_key is not None:
        await bench.engine.queues.limit_keys(QUEUE, per_key)
    await fill(bench, priority="high", **options)
    await begin(bench, verb)
    assert await bench.engine.bulk.step()
    assert await bench.fetch_ids() == []
    normal = await fill(bench, 2, **options)
    critical = await fill(bench, 2, priority="critical", **options)
    await bench.enqueue("other", priority="high")
    first = await bench.fetch(QUEUE, "other", count=2)
    assert [job.head.id for job in first] == critical
    second = await bench.fetch(QUEUE, "other", count=9)
    assert [job.head.queue for job in second] == ["other", QUEUE, QUEUE]
    assert [job.head.id for job in second[1:]] == normal
    await finish(bench)
    assert await bench.fetch_ids() == []
    queue = await bench.queue()
    assert (queue.active, queue.pending) == (4, 0)


async def test_waiting_fetch_gets_a_job_enqueued_during_a_delete(bench: Bench) -> None:
    await fill(bench)
    await begin(bench, "delete")
    waiting = await bench.waiting()
    new = await bench.enqueue()
    assert [job.head.id for job in await asyncio.wait_for(waiting, 5)] == [new]


async def test_fetch_in_the_commit_of_the_call_starts_no_covered_job(bench: Bench) -> None:
    await fill(bench)
    search = asyncio.ensure_future(bench.engine.queues.delete(QUEUE))
    held = asyncio.Event()
    empty_queue = bench.store.empty_queue

    def submit(request: Any) -> Any:
        held.set()
        return empty_queue(request)

    bench.store.empty_queue = submit  # type: ignore[method-assign]
    with bench.kit.hold_commits(bench.store):
        fetch = bench.fetching(count=9)
        await asyncio.wait_for(held.wait(), 5)
    assert await fetch == []
    assert isinstance(await search, BulkRecord)


async def test_queue_with_newer_jobs_stays_without_its_settings(bench: Bench) -> None:
    await bench.engine.queues.limit_both(QUEUE, 1, 1)
    await bench.engine.queues.throttle(QUEUE, 1, 1000)
    await bench.engine.queues.drain(QUEUE)
    await fill(bench)
    await begin(bench, "delete")
    new = await fill(bench, 2)
    waiting = await bench.waiting(count=2)
    await finish(bench)
    assert [job.head.id for job in await asyncio.wait_for(waiting, 5)] == new
    queue = await bench.queue()
    assert (queue.is_paused, queue.is_draining, queue.rate_limit) == (False, False, None)
    assert (queue.max_concurrency, queue.max_per_key) == (None, None)


@pytest.mark.parametrize("verb", VERBS)
async def test_operation_continues_after_a_restart(bench: Bench, verb: str) -> None:
    await fill(bench)
    await begin(bench, verb)
    assert await bench.engine.bulk.step()
    await bench.restart()
    assert await bench.fetch_ids() == []
    new = await bench.enqueue()
    runner = BulkRunner(bench.engine.bulk)
    await asyncio.wait_for(runner.wait(), 5)
    assert await runner.run_once() > 0
    assert await bench.fetch_ids() == [new]


@pytest.mark.parametrize("verb", [*VERBS, "bulk"])
async def test_operation_continues_after_a_failed_write(
    bench: Bench, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corvo_server.services.service._PAUSE_AFTER_ERROR", 0)
    await fill(bench)
    if verb == "bulk":
        body = {"action": "delete", "filter": {"queue": QUEUE}}
        await bench.engine.bulk.run(BulkRequest.model_validate(body))
    else:
        await begin(bench, verb)
    assert await bench.engine.bulk.step()
    with bench.kit.break_commits(bench.store, times=1):
        tasks = start_all([BulkRunner(bench.engine.bulk)])
        try:
            await until(lambda: bench.kit.count_jobs() == {})
        finally:
            await end_all(tasks)


async def test_operation_continues_when_this_server_leads_again(bench: Bench) -> None:
    """The services of a leader end with its lease and start again with the next one."""
    await fill(bench)
    await begin(bench, "delete")
    runner = BulkRunner(bench.engine.bulk)
    with bench.kit.hold_commits(bench.store):
        tasks = start_all([runner])
        await until(lambda: bench.store.backlog > 1)
        await end_all(tasks)
    tasks = start_all([runner])
    try:
        await until(lambda: bench.kit.count_jobs() == {})
    finally:
        await end_all(tasks)


@pytest.mark.parametrize("verb", VERBS)
async def test_call_waits_for_the_end_of_its_operation(
    bench: Bench, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_module, "_LONGEST_WAIT", 10)
    await fill(bench)
    call = asyncio.ensure_future(getattr(bench.engine.queues, verb)(QUEUE))
    await until(bench.engine.bulk.work.is_set)
    assert not call.done()
    await finish(bench)
    assert await asyncio.wait_for(call, 5) == JOBS


async def test_bulk_waits_for_the_end_of_its_operation(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_module, "_LONGEST_WAIT", 10)
    job_ids = await fill(bench)
    request = BulkRequest.model_validate({"action": "cancel", "job_ids": [*job_ids, "job_none"]})
    call = asyncio.ensure_future(bench.engine.bulk.run(request))
    await until(bench.engine.bulk.work.is_set)
    await finish(bench)
    done = await asyncio.wait_for(call, 5)
    assert isinstance(done, BulkDone)
    assert (done.affected, done.errors) == (JOBS, 1)


@pytest.mark.parametrize("verb", VERBS)
async def test_operation_continues_without_its_call(
    bench: Bench, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_module, "_LONGEST_WAIT", 10)
    await fill(bench)
    call = asyncio.ensure_future(getattr(bench.engine.queues, verb)(QUEUE))
    await until(bench.engine.bulk.work.is_set)
    call.cancel()
    await turns()
    assert call.cancelled()
    await finish(bench)
    assert bench.kit.count_jobs() == {}


async def test_call_ends_with_its_operation_if_the_server_stops(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_module, "_LONGEST_WAIT", 10)
    await fill(bench)
    call = asyncio.ensure_future(bench.engine.queues.delete(QUEUE))
    await until(bench.engine.bulk.work.is_set)
    bench.engine.start_closing()
    record = await asyncio.wait_for(call, 5)
    assert isinstance(record, BulkRecord)
    assert record.status is BulkStatus.QUEUED


async def test_answer_of_an_accepted_call_does_not_depend_on_reads(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: str) -> None:
        raise StoreUnavailable("the database is away")

    monkeypatch.setattr(bulk_module, "_LONGEST_WAIT", 10)
    monkeypatch.setattr(bench.store, "find_bulk", fail)
    await fill(bench)
    assert isinstance(await bench.engine.queues.delete(QUEUE), BulkRecord)


async def _cancel(bench: Bench, record: BulkRecord) -> None:
    await bench.engine.bulk.cancel(record.id)


async def _fail(bench: Bench, record: BulkRecord) -> None:
    async def search(*_: Any) -> Any:
        raise SearchTooSlow("it took longer than 5 seconds")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench.store, "matching_ids", search)
        assert await bench.engine.bulk.step()


@pytest.mark.parametrize("stop", [_cancel, _fail])
@pytest.mark.parametrize("verb", VERBS)
async def test_jobs_that_remain_after_a_stopped_operation_are_fetched(
    bench: Bench, verb: str, stop: Callable[[Bench, BulkRecord], Awaitable[None]]
) -> None:
    job_ids = await fill(bench)
    record = await begin(bench, verb)
    assert await bench.engine.bulk.step()
    waiting = await bench.waiting(count=9)
    await stop(bench, record)
    assert [job.head.id for job in await asyncio.wait_for(waiting, 5)] == job_ids[CHUNK:]
    assert not (await bench.queue()).is_paused


async def test_jobs_of_a_second_call_stay_covered_after_the_first(bench: Bench) -> None:
    await fill(bench)
    first = await begin(bench, "clear")
    second = await begin(bench, "delete")
    await bench.engine.bulk.cancel(first.id)
    assert await bench.fetch_ids() == []
    await finish(bench)
    assert (await bench.engine.bulk.get(second.id)).affected == JOBS
    assert await bench.store.list_queues() == []


async def test_chunk_that_another_server_has_done_changes_nothing(bench: Bench) -> None:
    job_ids = await fill(bench)
    body = {"action": "cancel", "job_ids": job_ids, "async": True}
    record = await bench.engine.bulk.run(BulkRequest.model_validate(body))
    assert isinstance(record, BulkRecord)
    chunk = await bench.engine.bulk._next_step(record)
    for _ in range(2):
        after = await bench.store.step_bulk(chunk)
        assert after is not None
        assert (after.processed, after.affected, after.errors) == (CHUNK, CHUNK, 0)


async def test_ended_operation_does_not_keep_the_ids_of_its_jobs(bench: Bench) -> None:
    job_ids = await fill(bench)
    body = {"action": "cancel", "job_ids": job_ids, "async": True}
    record = await bench.engine.bulk.run(BulkRequest.model_validate(body))
    assert isinstance(record, BulkRecord)
    await bench.engine.bulk.step()
    assert job_ids[0] in (await bench.engine.bulk.get(record.id)).request
    await finish(bench)
    assert (await bench.engine.bulk.get(record.id)).request == "{}"


async def test_operation_on_jobs_that_change_meanwhile_deletes_only_its_own(bench: Bench) -> None:
    job_ids = await fill(bench)
    await begin(bench, "clear")
    await bench.engine.jobs.move(job_ids[0], "kept")
    await bench.engine.jobs.cancel(job_ids[1])
    await finish(bench)
    assert await bench.state(job_ids[0]) is JobState.PENDING
    assert await bench.state(job_ids[1]) is JobState.CANCELLED
    assert bench.kit.count_jobs() == {
        "kept": {JobState.PENDING: 1},
        QUEUE: {JobState.CANCELLED: 1},
    }
