"""Equal changes of many jobs in one commit, which a store may write in one statement."""

import asyncio
from typing import Any

from corvo_schema.states import EventType, JobState
from corvo_server.engine.attempts import Ack
from corvo_server.store.records import Event, LeasedJob
from server_support.bench import QUEUE, Bench, make_job, turns

MANY = 40


async def log_of(bench: Bench) -> list[Event]:
    """Return the event log. Assert that listeners got the same events."""
    stored = list(await bench.store.read_events(0, 10 * MANY))
    bench.assert_listeners_got(stored)
    return stored


def acks(jobs: list[LeasedJob]) -> list[Ack]:
    """Return acks of the jobs. Every third has a result."""
    return [
        Ack(job.head.id, job.head.lease_token, None if i % 3 else f'"{i}"')
        for i, job in enumerate(jobs)
    ]


async def test_jobs_written_together_keep_their_own_values(bench: Bench) -> None:
    others: list[dict[str, Any]] = [
        {"concurrency_key": "k"},
        {"expire_at": "1h"},
        {"unique_key": "u"},
    ]
    new = [make_job(payload=i) for i in range(MANY - len(others))]
    new += [make_job(payload=i, **more) for i, more in enumerate(others, len(new))]
    enqueued, _ = await bench.enqueue_batch(*new)
    ids = [item.job_id for item in enqueued]
    jobs = await bench.fetch(count=MANY)
    assert [job.head.id for job in jobs] == ids
    assert len({job.head.lease_token for job in jobs}) == MANY
    for job in jobs:
        assert await bench.head(job) == job.head
    await bench.engine.attempts.ack(acks(jobs))
    for i, job in enumerate(jobs):
        record = await bench.job(job)
        assert record.head.state is JobState.COMPLETED
        assert record.head.lease_token == job.head.lease_token
        assert record.payload == str(i)
        assert record.result == (None if i % 3 else f'"{i}"')
        assert [event.job_id for event in record.events] == [job.head.id] * 3
    kinds = [EventType.ENQUEUED, EventType.STARTED, EventType.COMPLETED]
    assert [(event.type, event.job_id) for event in await log_of(bench)] == [
        (kind, job_id) for kind in kinds for job_id in ids
    ]
    await bench.check_counters()


async def test_attempts_of_a_batch_are_counted_each(bench: Bench) -> None:
    await bench.enqueue_batch(*[make_job(payload=i) for i in range(MANY)])
    first = await bench.fetch(count=MANY)
    await bench.fail(first[1])
    await bench.engine.jobs.retry(first[1].head.id)
    for job in first[2:]:
        await bench.release(job)
    again = await bench.fetch(count=MANY)
    assert [job.head.attempt for job in again] == [2] + [1] * (MANY - 2)
    for job in again:
        assert await bench.head(job) == job.head
    await bench.check_counters()


async def test_log_has_the_events_of_a_job_deleted_in_the_same_commit(
    bench: Bench,
) -> None:
    enqueued, _ = await bench.enqueue_batch(*[make_job(payload=i) for i in range(MANY)])
    jobs = await bench.fetch(count=MANY)
    deleted = jobs[MANY // 2].head.id
    with bench.kit.hold_commits(bench.store):
        acking = asyncio.ensure_future(bench.engine.attempts.ack(acks(jobs)))
        await turns()
        deleting = asyncio.ensure_future(bench.engine.jobs.delete(deleted))
        await turns()
    await asyncio.gather(acking, deleting)
    assert bench.commits[-1].operations == 2
    assert await bench.store.find_job(deleted) is None
    ends = [(event.type, event.job_id) for event in (await log_of(bench))[2 * MANY :]]
    assert ends == [
        *[(EventType.COMPLETED, item.job_id) for item in enqueued],
        (EventType.DELETED, deleted),
    ]
    assert (await bench.queue(QUEUE)).completed == MANY - 1
    await bench.check_counters()
