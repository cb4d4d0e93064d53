"""Calls of operators on one job: move, requeue, change of priority, delete."""

import pytest

from corvo_schema.errors import ErrorCode
from corvo_schema.states import EventType, JobState, Priority
from corvo_server.engine.errors import CallError
from server_support.bench import QUEUE, Bench, make_job

INACTIVE = [state for state in JobState if state is not JobState.ACTIVE]
WAITING = [JobState.PENDING, JobState.SCHEDULED, JobState.RETRYING]


@pytest.mark.parametrize("state", INACTIVE)
async def test_move_changes_the_queue_and_nothing_else(state: JobState, bench: Bench) -> None:
    job = await bench.bring_to(state)
    await bench.engine.jobs.move(job, "other")
    head = await bench.head(job)
    assert (head.queue, head.state) == ("other", state)
    assert getattr(await bench.queue("other"), state.value) == 1
    assert await bench.last_event(job) == (EventType.MOVED, {"reason": f"from {QUEUE}"})


async def test_move_wakes_a_fetch_that_waits_for_the_other_queue(bench: Bench) -> None:
    job = await bench.enqueue()
    waiting = await bench.waiting("other")
    await bench.engine.jobs.move(job, "other")
    assert [taken.head.id for taken in await waiting] == [job]


async def test_move_takes_the_unique_key_along(bench: Bench) -> None:
    job = await bench.enqueue(unique_key="k")
    await bench.engine.jobs.move(job, "other")
    assert (await bench.try_enqueue("other", unique_key="k")).job_id == job
    assert (await bench.try_enqueue(QUEUE, unique_key="k")).is_new


async def test_move_is_refused_where_the_unique_key_is_held(bench: Bench) -> None:
    job = await bench.enqueue(unique_key="k")
    await bench.enqueue("other", unique_key="k")
    with pytest.raises(CallError, match="is held by") as refused:
        await bench.engine.jobs.move(job, "other")
    assert refused.value.code is ErrorCode.INVALID_STATE
    assert (await bench.head(job)).queue == QUEUE


async def test_move_to_the_same_queue_changes_nothing(bench: Bench) -> None:
    job = await bench.enqueue()
    await bench.engine.jobs.move(job, QUEUE)
    assert await bench.events(job) == [EventType.ENQUEUED]


async def test_requeue_gives_one_more_attempt(bench: Bench) -> None:
    job = await bench.bring_to(JobState.DEAD, max_retries=3)
    await bench.engine.jobs.requeue(job)
    head = await bench.head(job)
    assert (head.state, head.attempt, head.max_retries) == (JobState.PENDING, 1, 2)
    taken = await bench.fetch_one()
    await bench.fail(taken)
    assert await bench.state(job) is JobState.DEAD


async def test_requeue_lifts_an_expiry_that_has_passed(bench: Bench) -> None:
    job = await bench.enqueue(expire_after="1s")
    await bench.tick(1000)
    await bench.engine.jobs.requeue(job)
    await bench.tick()
    assert await bench.fetch_ids() == [job]


@pytest.mark.parametrize("state", WAITING)
async def test_priority_of_a_waiting_job_can_be_changed(state: JobState, bench: Bench) -> None:
    job = await bench.bring_to(state)
    await bench.engine.jobs.change_priority(job, Priority.CRITICAL)
    assert (await bench.head(job)).priority is Priority.CRITICAL
    assert await bench.last_event(job) == (EventType.PRIORITY_CHANGED, {"reason": "from normal"})


@pytest.mark.parametrize("state", INACTIVE)
async def test_delete_leaves_nothing_but_events(state: JobState, bench: Bench) -> None:
    job = await bench.bring_to(state, unique_key="k")
    await bench.engine.jobs.delete(job)
    assert await bench.engine.jobs.bulk_get([job]) == []
    tables = ("jobs", "job_failures", "unique_locks")
    assert [bench.kit.count_rows(table) for table in tables] == [0, 0, 0]
    assert (await bench.try_enqueue(unique_key="k")).is_new


async def test_deleted_job_counts_in_its_batch_once(bench: Bench) -> None:
    (first, second), batch_id = await bench.enqueue_batch(
        make_job(), make_job(), callback="callbacks"
    )
    await bench.engine.jobs.cancel(first.job_id)
    for job in (first, second):
        await bench.engine.jobs.delete(job.job_id)
    batch = await bench.batch(batch_id)
    assert (batch.cancelled, batch.finished_at) == (2, bench.clock())
    assert len(await bench.fetch_ids("callbacks")) == 1


@pytest.mark.parametrize("verb", ["move", "requeue", "change_priority", "delete"])
async def test_active_job_is_refused(verb: str, bench: Bench) -> None:
    job = await bench.bring_to(JobState.ACTIVE)
    arguments = {"move": ("other",), "change_priority": (Priority.HIGH,)}.get(verb, ())
    with pytest.raises(CallError, match="is active") as refused:
        await getattr(bench.engine.jobs, verb)(job, *arguments)
    assert refused.value.code is ErrorCode.INVALID_STATE
    assert await bench.state(job) is JobState.ACTIVE
