"""Jobs of a fetch whose reply did not reach the worker go back at once."""

from corvo_schema.states import EventType, JobState
from corvo_server.engine.attempts import leases_of
from corvo_server.store.records import LeasedJob
from server_support.bench import LEASE_MS, Bench


async def take_back(bench: Bench, *jobs: LeasedJob) -> None:
    bench.engine.attempts.return_undelivered(leases_of(jobs))
    await bench.settle()


async def test_job_that_was_not_delivered_is_handed_out_again(bench: Bench) -> None:
    job = await bench.start(max_retries=0)
    for _ in range(3):
        await take_back(bench, job)
        head = await bench.head(job)
        assert (head.state, head.attempt, head.worker_id) == (JobState.PENDING, 0, None)
        assert await bench.last_event(job) == (
            EventType.RELEASED,
            {"reason": "not delivered to the worker"},
        )
        job = await bench.fetch_one()
        assert job.head.attempt == 1
    await bench.ack(job)
    assert await bench.state(job) is JobState.COMPLETED


async def test_jobs_of_a_batch_go_back_together_and_wake_a_fetch(bench: Bench) -> None:
    ids = [await bench.enqueue() for _ in range(3)]
    jobs = await bench.fetch(count=3)
    waiting = await bench.waiting(count=3)
    await take_back(bench, *jobs)
    assert [job.head.id for job in await waiting] == ids


async def test_job_with_a_heartbeat_was_delivered(bench: Bench) -> None:
    job = await bench.start()
    bench.clock.forward(1)
    await bench.heartbeat(job)
    await take_back(bench, job)
    assert await bench.state(job) is JobState.ACTIVE


async def test_job_that_was_reported_stays_as_it_is(bench: Bench) -> None:
    acked, failed = await bench.start(), await bench.start()
    await bench.ack(acked)
    await bench.fail(failed)
    await take_back(bench, acked, failed)
    assert await bench.state(acked) is JobState.COMPLETED
    assert await bench.state(failed) is JobState.RETRYING


async def test_job_of_another_attempt_stays_with_its_worker(bench: Bench) -> None:
    first = await bench.start()
    await bench.tick(LEASE_MS)
    second = await bench.fetch_one()
    await take_back(bench, first)
    assert await bench.state(second) is JobState.ACTIVE
    assert (await bench.head(second)).lease_token == second.head.lease_token


async def test_cancelled_job_that_was_not_delivered_ends(bench: Bench) -> None:
    job = await bench.start()
    await bench.engine.jobs.cancel(job.head.id)
    await take_back(bench, job)
    assert await bench.state(job) is JobState.CANCELLED
