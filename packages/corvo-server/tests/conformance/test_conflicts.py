"""The effect of `on_conflict` on the job that holds the unique key."""

import asyncio

import pytest

from corvo_schema import new_job_id
from corvo_schema.errors import ErrorCode
from corvo_schema.states import EventType, JobState, Priority
from corvo_server.engine.errors import CallError
from corvo_server.store.records import Enqueued
from server_support.bench import QUEUE, Bench, make_job

WAITING = (JobState.PENDING, JobState.SCHEDULED, JobState.RETRYING)


async def test_replace_gives_a_waiting_job_all_of_the_new_one(bench: Bench) -> None:
    job = await bench.enqueue(unique_key="k", payload={"version": 1}, tags={"old": "yes"})
    answer = await bench.try_enqueue(
        unique_key="k",
        payload={"version": 2},
        priority="high",
        max_retries=9,
        on_conflict="replace",
    )
    assert answer == Enqueued(job, "replaced", is_new=False, is_duplicate=True)
    record = await bench.job(job)
    assert (record.payload, record.tags) == ('{"version":2}', None)
    assert (record.head.priority, record.head.max_retries) == (Priority.HIGH, 9)
    assert (await bench.events(job))[-1] is EventType.REPLACED
    assert await bench.fetch_ids() == [job]


@pytest.mark.parametrize("state", WAITING)
async def test_reschedule_moves_a_waiting_job_in_time_and_nothing_else(
    state: JobState, bench: Bench
) -> None:
    job = await bench.bring_to(state, unique_key="k", payload={"version": 1})
    later = bench.clock() + 5000
    answer = await bench.try_enqueue(
        unique_key="k", payload={"version": 2}, at=later, on_conflict="reschedule"
    )
    assert (answer.job_id, answer.status) == (job, "rescheduled")
    record = await bench.job(job)
    assert (record.head.state, record.head.scheduled_at) == (JobState.SCHEDULED, later)
    assert record.payload == '{"version":1}'
    await bench.tick(5000)
    assert await bench.fetch_ids() == [job]


@pytest.mark.parametrize("policy", ["replace", "reschedule"])
async def test_active_job_is_left_alone(policy: str, bench: Bench) -> None:
    active = await bench.start(unique_key="k", payload=1)
    answer = await bench.try_enqueue(unique_key="k", payload=2, on_conflict=policy)
    assert (answer.job_id, answer.status) == (active.head.id, "duplicate")
    assert (await bench.job(active)).payload == "1"


async def test_error_refuses_the_enqueue(bench: Bench) -> None:
    await bench.enqueue(unique_key="k")
    with pytest.raises(CallError) as refused:
        await bench.try_enqueue(unique_key="k", on_conflict="error")
    assert refused.value.code is ErrorCode.INVALID_STATE
    assert (await bench.queue()).enqueued == 1


async def test_error_refuses_the_whole_batch(bench: Bench) -> None:
    await bench.enqueue(unique_key="k")
    with pytest.raises(CallError):
        await bench.enqueue_batch(
            make_job(unique_key="free"),
            make_job(unique_key="k", on_conflict="error"),
            callback="callbacks",
        )
    assert (await bench.queue()).enqueued == 1
    assert bench.kit.count_rows("batches") == 0
    assert (await bench.try_enqueue(unique_key="free")).is_new


async def test_neighbours_of_a_refused_request_in_one_commit_are_stored(bench: Bench) -> None:
    with bench.kit.hold_commits(bench.store):
        first = asyncio.ensure_future(bench.try_enqueue(unique_key="k"))
        await asyncio.sleep(0)
        refused = asyncio.ensure_future(bench.try_enqueue(unique_key="k", on_conflict="error"))
        await asyncio.sleep(0)
        last = asyncio.ensure_future(bench.try_enqueue(unique_key="other"))
        await asyncio.sleep(0)
    assert (await first).is_new
    assert (await last).is_new
    with pytest.raises(CallError):
        await refused
    assert (await bench.queue()).enqueued == 2


async def test_replace_reaches_a_job_of_the_same_commit(bench: Bench) -> None:
    with bench.kit.hold_commits(bench.store):
        first = asyncio.ensure_future(bench.try_enqueue(unique_key="k", payload=1))
        await asyncio.sleep(0)
        second = asyncio.ensure_future(
            bench.try_enqueue(unique_key="k", payload=2, on_conflict="replace")
        )
        await asyncio.sleep(0)
    job = (await first).job_id
    assert (await second).status == "replaced"
    assert (await bench.job(job)).payload == "2"


async def test_first_of_two_jobs_in_one_request_is_stored_unchanged(bench: Bench) -> None:
    (first, second), _ = await bench.enqueue_batch(
        make_job(unique_key="k", payload=1),
        make_job(unique_key="k", payload=2, on_conflict="replace"),
    )
    assert (first.is_new, second.status, second.job_id) == (True, "duplicate", first.job_id)
    assert (await bench.job(first.job_id)).payload == "1"


async def test_policy_has_no_effect_while_the_key_is_free(bench: Bench) -> None:
    for policy in ("replace", "reschedule", "error"):
        assert (await bench.try_enqueue(unique_key=policy, on_conflict=policy)).is_new
    assert (await bench.queue(QUEUE)).pending == 3


async def test_repeat_returns_the_state_that_its_own_request_caused(bench: Bench) -> None:
    job_id = new_job_id()
    later = bench.clock.now + 60_000
    await bench.enqueue(at=later, job_id=job_id, unique_key="k")
    enqueued, _ = await bench.enqueue_batch(
        make_job(unique_key="k", on_conflict="reschedule"), make_job(job_id=job_id)
    )
    assert [item.job_id for item in enqueued] == [job_id, job_id]
    assert [item.status for item in enqueued] == ["rescheduled", "pending"]
