"""Bulk operations, and the clear and the delete of queues."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from corvo_schema import BulkRequest, BulkStatus
from corvo_schema.errors import ErrorCode
from corvo_schema.states import EventType, JobState, Priority
from corvo_server.engine import bulk as bulk_module
from corvo_server.engine.bulk import BulkDone
from corvo_server.engine.errors import CallError
from corvo_server.services.bulk import BulkRunner
from corvo_server.store.bulk import BulkRecord
from server_support.bench import LEASE_MS, QUEUE, Bench, make_job


async def at_once(bench: Bench, action: str, **fields: Any) -> BulkDone:
    done = await bench.engine.bulk.run(BulkRequest.model_validate({"action": action, **fields}))
    assert isinstance(done, BulkDone)
    return done


async def in_background(bench: Bench, action: str, **fields: Any) -> BulkRecord:
    request = BulkRequest.model_validate({"action": action, "async": True, **fields})
    record = await bench.engine.bulk.run(request)
    assert isinstance(record, BulkRecord)
    return record


async def one_of_each(bench: Bench) -> dict[JobState, str]:
    """Create a job in every state. The pending job is last, so that no fetch returns it."""
    states = sorted(JobState, key=lambda state: state is JobState.PENDING)
    return {state: await bench.bring_to(state) for state in states}


@pytest.mark.parametrize(
    ("action", "fitting", "after"),
    [
        ("retry", {JobState.DEAD, JobState.CANCELLED, JobState.COMPLETED}, JobState.PENDING),
        ("delete", set(JobState) - {JobState.ACTIVE}, None),
        (
            "cancel",
            {JobState.PENDING, JobState.SCHEDULED, JobState.RETRYING},
            JobState.CANCELLED,
        ),
        ("requeue", {JobState.DEAD}, JobState.PENDING),
    ],
)
async def test_action_changes_the_jobs_whose_state_allows_it(
    action: str, fitting: set[JobState], after: JobState | None, bench: Bench
) -> None:
    jobs = await one_of_each(bench)
    done = await at_once(bench, action, job_ids=list(jobs.values()))
    told_to_stop = action == "cancel"  # the active job counts: its worker will be told
    assert done.affected == len(fitting) + told_to_stop
    assert done.errors == len(JobState) - done.affected
    for state, job in jobs.items():
        found = await bench.engine.jobs.bulk_get([job])
        expected = after if state in fitting else state
        assert [record.head.state for record in found] == ([] if expected is None else [expected])


@pytest.mark.parametrize("in_the_background", [False, True])
async def test_states_limit_an_action_on_ids(in_the_background: bool, bench: Bench) -> None:
    """A retry of ids without it takes completed jobs as well, as older clients expect."""
    jobs = await one_of_each(bench)
    fields: dict[str, Any] = {"job_ids": list(jobs.values()), "states": ["dead", "cancelled"]}
    if in_the_background:
        record = await in_background(bench, "retry", **fields)
        await BulkRunner(bench.engine.bulk).run_once()
        done = await bench.engine.bulk.get(record.id)
    else:
        done = await at_once(bench, "retry", **fields)
    assert (done.affected, done.errors) == (2, len(JobState) - 2)
    assert (await bench.head(jobs[JobState.COMPLETED])).state is JobState.COMPLETED


async def test_move_changes_the_queue_of_jobs(bench: Bench) -> None:
    jobs = [await bench.enqueue() for _ in range(3)]
    done = await at_once(bench, "move", job_ids=jobs, move_to_queue="other")
    assert (done.affected, done.errors) == (3, 0)
    assert await bench.fetch_ids("other", count=5) == jobs
    assert (await bench.queue()).pending == 0


async def test_change_priority_changes_the_order_of_jobs(bench: Bench) -> None:
    first, second = [await bench.enqueue() for _ in range(2)]
    done = await at_once(bench, "change_priority", job_ids=[second], priority="critical")
    assert done.affected == 1
    assert (await bench.head(second)).priority is Priority.CRITICAL
    assert await bench.fetch_ids(count=2) == [second, first]


async def test_unknown_ids_count_as_errors(bench: Bench) -> None:
    job = await bench.enqueue()
    done = await at_once(bench, "cancel", job_ids=["job_nowhere", job])
    assert (done.affected, done.errors) == (1, 1)


async def test_filter_selects_only_matching_jobs(bench: Bench) -> None:
    marked = [await bench.enqueue(tags={"tenant": "a"}) for _ in range(3)]
    other = await bench.enqueue(tags={"tenant": "b"})
    done = await at_once(bench, "cancel", filter={"tags": {"tenant": "a"}})
    assert (done.affected, done.errors) == (3, 0)
    assert [await bench.state(job) for job in marked] == [JobState.CANCELLED] * 3
    assert await bench.state(other) is JobState.PENDING


async def test_error_of_an_invalid_filter_names_its_field(bench: Bench) -> None:
    with pytest.raises(CallError) as refused:
        await at_once(bench, "cancel", filter={"payload_jq": ".a =="})
    assert refused.value.code is ErrorCode.VALIDATION_ERROR
    assert refused.value.details[0][0] == "filter.payload_jq"


async def test_large_operation_runs_in_the_background(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_module, "_MAX_SYNCHRONOUS", 3)
    for _ in range(4):
        await bench.enqueue()
    request = BulkRequest.model_validate({"action": "cancel", "filter": {"queue": QUEUE}})
    record = await bench.engine.bulk.run(request)
    assert isinstance(record, BulkRecord)
    assert (record.status, record.total, record.processed) == (BulkStatus.QUEUED, 4, 0)


@pytest.mark.parametrize("by_filter", [True, False])
async def test_background_operation_runs_in_chunks(
    by_filter: bool, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_module, "CHUNK", 2)
    jobs = [await bench.enqueue() for _ in range(5)]
    meant = {"filter": {"queue": QUEUE}} if by_filter else {"job_ids": jobs}
    record = await in_background(bench, "cancel", **meant)
    late = await bench.enqueue()
    runner = BulkRunner(bench.engine.bulk)
    await runner.wait()
    assert await runner.run_once() == 3
    ended = await bench.engine.bulk.get(record.id)
    assert (ended.status, ended.processed, ended.affected) == (BulkStatus.COMPLETED, 5, 5)
    assert ended.finished_at == bench.clock()
    assert await bench.state(late) is JobState.PENDING
    assert await runner.run_once() == 0


async def test_operation_resumes_after_a_restart(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_module, "CHUNK", 2)
    jobs = [await bench.enqueue() for _ in range(5)]
    record = await in_background(bench, "cancel", filter={"queue": QUEUE})
    assert await bench.engine.bulk.step()
    await bench.restart()
    runner = BulkRunner(bench.engine.bulk)
    await runner.wait()
    assert await runner.run_once() == 2
    ended = await bench.engine.bulk.get(record.id)
    assert (ended.status, ended.affected, ended.errors) == (BulkStatus.COMPLETED, 5, 0)
    for job in jobs:
        assert (await bench.events(job)).count(EventType.CANCELLED) == 1


async def test_cancelled_operation_stops_and_keeps_its_changes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_module, "CHUNK", 2)
    jobs = [await bench.enqueue() for _ in range(5)]
    record = await in_background(bench, "cancel", job_ids=jobs)
    await bench.engine.bulk.step()
    cancelled = await bench.engine.bulk.cancel(record.id)
    assert (cancelled.status, cancelled.processed) == (BulkStatus.CANCELLED, 2)
    assert await BulkRunner(bench.engine.bulk).run_once() == 0
    assert await bench.state(jobs[4]) is JobState.PENDING
    with pytest.raises(CallError) as refused:
        await bench.engine.bulk.cancel(record.id)
    assert refused.value.code is ErrorCode.INVALID_STATE


async def test_chunk_after_the_cancel_changes_nothing(bench: Bench) -> None:
    job = await bench.enqueue()
    record = await in_background(bench, "cancel", job_ids=[job])
    step = await bench.engine.bulk._next_step(record)
    await bench.engine.bulk.cancel(record.id)
    after = await bench.store.step_bulk(step)
    assert after is not None
    assert after.status is BulkStatus.CANCELLED
    assert await bench.state(job) is JobState.PENDING


async def test_unknown_operation_is_not_found(bench: Bench) -> None:
    for call in (bench.engine.bulk.get, bench.engine.bulk.cancel):
        with pytest.raises(CallError) as refused:
            await call("bulk_nowhere")
        assert refused.value.code is ErrorCode.NOT_FOUND


async def test_follower_sees_every_chunk(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_module, "CHUNK", 1)
    jobs = [await bench.enqueue() for _ in range(3)]
    record = await in_background(bench, "cancel", job_ids=jobs)
    seen = []
    async with asyncio.timeout(5), aclosing(bench.engine.bulk.follow(record.id, 60)) as records:
        async for state in records:
            seen.append((state.status, state.processed))
            if state.status is not BulkStatus.COMPLETED:
                await bench.engine.bulk.step()
    assert seen == [
        (BulkStatus.QUEUED, 0),
        (BulkStatus.RUNNING, 1),
        (BulkStatus.RUNNING, 2),
        (BulkStatus.COMPLETED, 3),
    ]


async def test_operations_are_listed_newest_first(bench: Bench) -> None:
    job = await bench.enqueue()
    first = await in_background(bench, "cancel", job_ids=[job])
    second = await in_background(bench, "delete", job_ids=[job])
    assert [record.id for record in await bench.engine.bulk.list()] == [second.id, first.id]


async def test_clear_deletes_pending_and_scheduled_jobs(bench: Bench) -> None:
    jobs = await one_of_each(bench)
    assert await bench.engine.queues.clear(QUEUE) == 2
    left = {record.head.id for record in await bench.engine.jobs.bulk_get(list(jobs.values()))}
    gone = {JobState.PENDING, JobState.SCHEDULED}
    assert left == {job for state, job in jobs.items() if state not in gone}


async def test_cleared_jobs_count_in_their_batch(bench: Bench) -> None:
    _, batch_id = await bench.enqueue_batch(make_job(), make_job(), callback="callbacks")
    await bench.engine.queues.clear(QUEUE)
    batch = await bench.batch(batch_id)
    assert (batch.cancelled, batch.finished_at) == (2, bench.clock())
    assert len(await bench.fetch_ids("callbacks", count=2)) == 1


async def test_delete_deletes_a_queue_with_all_its_jobs(bench: Bench) -> None:
    jobs = await one_of_each(bench)
    await bench.engine.jobs.cancel(jobs[JobState.ACTIVE])
    await bench.tick(LEASE_MS)
    await bench.engine.queues.limit(QUEUE, 3)
    assert await bench.engine.queues.delete(QUEUE) == 7
    assert await bench.engine.queues.list() == []
    assert bench.kit.count_rows("jobs") == 0


async def test_delete_is_refused_while_jobs_are_active_and_changes_nothing(bench: Bench) -> None:
    await bench.bring_to(JobState.ACTIVE)
    waiting = await bench.enqueue()
    with pytest.raises(CallError) as refused:
        await bench.engine.queues.delete(QUEUE)
    assert refused.value.code is ErrorCode.INVALID_STATE
    queue = await bench.queue()
    assert (queue.is_paused, queue.active, queue.pending) == (False, 1, 1)
    assert await bench.state(waiting) is JobState.PENDING


@pytest.mark.parametrize("verb", ["clear", "delete"])
async def test_unknown_queue_is_not_found(verb: str, bench: Bench) -> None:
    with pytest.raises(CallError) as refused:
        await getattr(bench.engine.queues, verb)("nowhere")
    assert refused.value.code is ErrorCode.NOT_FOUND
