"""Assertions after every step: the store equals the model, including all counters."""

from corvo_schema.states import ALTERNATIVES, TRANSITIONS, EventType, JobState
from server_support.history.life import Life
from server_support.model.model import check_head
from server_support.model.parts import Queue


async def check_all(life: Life) -> None:
    """Assert that the store has exactly the data of the model."""
    await _check_jobs(life)
    await _check_locks(life)
    await _check_queues(life)
    await _check_batches(life)
    await _check_schedules(life)
    await _check_bulks(life)


async def _check_jobs(life: Life) -> None:
    """Assert that the store has exactly the jobs of the model, in the same order."""
    model = life.model
    records = await life.bench.store.find_jobs([*model.jobs, *model.deleted])
    assert {record.head.id for record in records} == set(model.jobs)
    for record in records:
        job = model.jobs[record.head.id]
        check_head(job, record.head)
        assert len(record.failures) == job.failures
        if job.state is JobState.ACTIVE:
            assert record.head.lease_token == job.token
    in_order = sorted(records, key=lambda record: record.head.seq)
    assert [record.head.id for record in in_order] == list(model.jobs)


async def _check_locks(life: Life) -> None:
    """Assert that each unique key is held by its job in the model."""
    for (queue, key), (job_id, until) in life.model.locks.items():
        if until > life.model.now:
            found = await life.bench.try_enqueue(queue, unique_key=key)
            assert (found.job_id, found.is_duplicate) == (job_id, True)


async def _check_queues(life: Life) -> None:
    """Assert that the counters of all queues equal a recount, and their settings the model."""
    model = life.model
    records = await life.bench.store.list_queues()
    assert {record.name for record in records} == set(model.queues)
    for record in records:
        jobs = [job for job in model.jobs.values() if job.queue == record.name]
        for state in JobState:
            assert getattr(record, state.value) == sum(job.state is state for job in jobs)
        assert model.queues[record.name] == Queue(
            is_paused=record.is_paused,
            is_draining=record.is_draining,
            max_active=record.max_concurrency,
            max_per_key=record.max_per_key,
            rate=record.rate_limit,
            window=record.rate_window or 0,
            enqueued=record.enqueued,
            failed=record.failed,
        )


async def _check_batches(life: Life) -> None:
    """Assert that each batch has the counts and the end of the model."""
    for batch_id, batch in life.model.batches.items():
        record = await life.bench.batch(batch_id)
        assert (record.total, record.finished_at) == (batch.total, batch.finished_at)
        assert (record.succeeded, record.failed, record.cancelled) == (
            batch.counts[JobState.COMPLETED],
            batch.counts[JobState.DEAD],
            batch.counts[JobState.CANCELLED],
        )


async def _check_schedules(life: Life) -> None:
    """Assert that each schedule has handled the right occurrences and has the right next one."""
    schedules = life.model.schedules
    records = await life.bench.store.list_schedules()
    assert [record.name for record in records] == sorted(schedules)
    for record in records:
        schedule = schedules[record.name]
        assert (
            record.id,
            record.next_run,
            record.is_paused,
            record.last_run,
            record.last_job_id,
            record.last_skipped,
        ) == (
            schedule.id,
            schedule.next_run,
            schedule.is_paused,
            schedule.last_run,
            schedule.last_job,
            schedule.last_skipped,
        )


async def _check_bulks(life: Life) -> None:
    """Assert that each bulk operation has the progress of the model."""
    bulks = life.model.bulks
    records = await life.bench.store.list_bulks(len(bulks) + 1)
    assert {record.id for record in records} == set(bulks)
    for record in records:
        bulk = bulks[record.id]
        assert (
            record.status.value,
            record.total,
            record.processed,
            record.affected,
            record.errors,
            record.finished_at,
        ) == (
            bulk.status,
            bulk.total,
            bulk.processed,
            bulk.affected,
            bulk.errors,
            bulk.finished_at,
        )


async def check_timelines(life: Life) -> None:
    """Assert that the events of each job lead to its state by transitions of the table."""
    for job in life.model.jobs.values():
        events = (await life.bench.job(job.id)).events
        if job.id in life.model.reused_ids:
            continue
        is_whole = (
            events and events[0].type is EventType.ENQUEUED
        )  # otherwise the oldest events are pruned
        reached: set[JobState | None] = {None} if is_whole else set(JobState)
        for event in events:
            reached = {
                after
                for before in reached
                for after in (
                    TRANSITIONS.get((before, event.type)),
                    ALTERNATIVES.get((before, event.type)),
                )
                if after is not None
            }
        assert job.state in reached
