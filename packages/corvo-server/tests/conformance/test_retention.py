"""Pruning: deletion of jobs, batches, locks and events after their retention."""

import pytest

from corvo_schema.states import UNFINISHED, EventType, JobState
from corvo_server.engine.engine import Engine, Policy
from corvo_server.engine.maintenance import Retention
from server_support.bench import Bench, make_job
from server_support.clock import START

DAY = 86_400_000
KEPT = {JobState.COMPLETED: 7 * DAY, JobState.CANCELLED: 7 * DAY, JobState.DEAD: 30 * DAY}


def keep(bench: Bench, **ms: int) -> None:
    """Set the given retentions in ms, and keep the other kinds for ever."""
    retention = Retention(**{"completed": 0, "dead": 0, "events": 0, **ms})
    bench.engine.maintenance = Engine(
        bench.store, clock=bench.clock, policy=Policy(retention=retention)
    ).maintenance


@pytest.mark.parametrize("state", KEPT)
async def test_finished_job_is_pruned_after_its_retention(bench: Bench, state: JobState) -> None:
    job_id = await bench.bring_to(state)
    await bench.prune(KEPT[state] - 1)
    assert await bench.state(job_id) is state
    await bench.prune(1)
    assert await bench.store.find_job(job_id) is None
    assert getattr(await bench.queue(), state.value) == 0


@pytest.mark.parametrize("state", sorted(UNFINISHED))
async def test_unfinished_job_is_never_pruned(bench: Bench, state: JobState) -> None:
    job_id = await bench.bring_to(state)
    await bench.prune(1000 * DAY)
    assert await bench.state(job_id) is state


@pytest.mark.parametrize("state", KEPT)
async def test_retention_of_zero_keeps_for_ever(bench: Bench, state: JobState) -> None:
    keep(bench)
    job_id = await bench.bring_to(state)
    await bench.prune(10_000 * DAY)
    assert await bench.state(job_id) is state
    assert len(await bench.events(job_id)) > 0


@pytest.mark.parametrize("kept", ["completed", "dead", "events"])
async def test_each_kind_has_a_retention_of_its_own(bench: Bench, kept: str) -> None:
    keep(bench, **{kind: DAY for kind in ("completed", "dead", "events") if kind != kept})
    completed, dead = [await bench.bring_to(state) for state in (JobState.COMPLETED, JobState.DEAD)]
    events = bench.kit.count_rows("events")
    await bench.prune(DAY)
    assert (await bench.store.find_job(completed) is not None) == (kept == "completed")
    assert (await bench.store.find_job(dead) is not None) == (kept == "dead")
    assert (bench.kit.count_rows("events") > events) == (kept == "events")


async def test_retention_counts_from_the_end_of_the_job(bench: Bench) -> None:
    job_id = await bench.enqueue()
    bench.clock.forward(30 * DAY)
    await bench.engine.jobs.cancel(job_id)
    await bench.prune()
    assert await bench.state(job_id) is JobState.CANCELLED


async def test_job_that_runs_again_is_not_pruned(bench: Bench) -> None:
    job_id = await bench.bring_to(JobState.COMPLETED)
    await bench.engine.jobs.retry(job_id)
    await bench.prune(8 * DAY)
    assert await bench.state(job_id) is JobState.PENDING


async def test_failures_and_locks_are_pruned_with_their_job(bench: Bench) -> None:
    job_id = await bench.bring_to(JobState.DEAD, unique_key="k")
    assert bench.kit.count_rows("job_failures") == 1
    await bench.prune(30 * DAY)
    assert await bench.store.find_job(job_id) is None
    assert bench.kit.count_rows("job_failures") == 0
    assert bench.kit.count_rows("unique_locks") == 0


async def test_expired_locks_are_pruned_while_their_jobs_exist(bench: Bench) -> None:
    job_id = await bench.enqueue(unique_key="k", unique_period=10)
    held = await bench.enqueue(unique_key="other", unique_period=11)
    assert await bench.prune(10_000) == 1
    assert bench.kit.count_rows("unique_locks") == 1
    assert await bench.state(job_id) is JobState.PENDING
    assert (await bench.try_enqueue(unique_key="other")).job_id == held


async def test_batch_is_pruned_once_its_jobs_are(bench: Bench) -> None:
    results, batch_id = await bench.enqueue_batch(make_job(), make_job(), callback="callbacks")
    first, second = await bench.fetch(count=2)
    await bench.ack(first)
    await bench.fail(second, retry=False)
    await bench.prune(7 * DAY)
    assert await bench.store.find_job(results[0].job_id) is None
    assert (await bench.batch(batch_id)).total == 2  # the dead job is still there
    await bench.prune(23 * DAY)
    assert await bench.store.find_batch(str(batch_id)) is None
    assert (await bench.queue("callbacks")).pending == 1


async def test_running_batch_is_not_pruned(bench: Bench) -> None:
    _, batch_id = await bench.enqueue_batch(make_job(), callback="callbacks")
    await bench.prune(1000 * DAY)
    assert (await bench.batch(batch_id)).finished_at is None


async def test_pruning_is_an_event_with_its_reason(bench: Bench) -> None:
    job_id = await bench.bring_to(JobState.COMPLETED)
    bench.commits.clear()
    await bench.prune(7 * DAY)
    events = [event for commit in bench.commits for event in commit.events]
    assert [(event.type, event.job_id, event.at) for event in events] == [
        (EventType.PRUNED, job_id, START + 7 * DAY)
    ]
    assert "retention" in str(events[0].data)


async def test_events_outlive_their_job_until_their_own_retention(bench: Bench) -> None:
    keep(bench, completed=DAY, events=3 * DAY)
    await bench.bring_to(JobState.COMPLETED)
    await bench.prune(DAY)
    assert bench.kit.count_rows("events") == 4  # enqueued, started, completed, pruned
    await bench.prune(2 * DAY)
    assert bench.kit.count_rows("events") == 1
    await bench.prune(DAY)
    assert bench.kit.count_rows("events") == 1  # the newest event is never pruned


async def test_event_ids_are_never_used_twice(bench: Bench) -> None:
    keep(bench, completed=DAY, events=DAY)
    last = 0
    for _ in range(3):
        job_id = await bench.bring_to(JobState.COMPLETED)
        events = await bench.store.read_events(last, 100)
        assert [event.type for event in events if event.job_id == job_id] == [
            EventType.ENQUEUED,
            EventType.STARTED,
            EventType.COMPLETED,
        ]
        await bench.prune(5 * DAY)
        last = await bench.store.last_event_id()
        await bench.restart()
        keep(bench, completed=DAY, events=DAY)


async def test_more_than_a_chunk_is_pruned_chunk_by_chunk(bench: Bench) -> None:
    results, _ = await bench.enqueue_batch(*[make_job(unique_key=f"k{i}") for i in range(450)])
    for result in results:
        await bench.engine.jobs.cancel(result.job_id)
    bench.clock.forward(7 * DAY)
    chunk = await bench.engine.maintenance.prune()
    assert 0 < chunk < 450 * 3
    assert 0 < (await bench.queue()).cancelled < 450
    await bench.prune()
    assert (await bench.queue()).cancelled == 0
    assert bench.kit.count_jobs() == {}


async def test_events_are_pruned_as_fast_as_their_jobs(bench: Bench) -> None:
    keep(bench, completed=DAY, events=DAY)
    results, _ = await bench.enqueue_batch(*[make_job() for _ in range(200)])
    for result in results:
        await bench.engine.jobs.cancel(result.job_id)
    bench.clock.forward(DAY)
    await bench.engine.maintenance.prune()
    assert bench.kit.count_jobs() == {}
    # The events of the pruned jobs, and the newest event before, which is never pruned.
    assert bench.kit.count_rows("events") == 201


async def test_prune_without_old_rows_does_nothing(bench: Bench) -> None:
    await bench.bring_to(JobState.COMPLETED)
    assert await bench.prune() == 0


async def test_id_of_a_pruned_job_can_be_used_again(bench: Bench) -> None:
    job_id = await bench.bring_to(JobState.COMPLETED)
    await bench.prune(7 * DAY)
    assert await bench.enqueue(job_id=job_id) == job_id
    assert await bench.fetch_ids() == [job_id]
