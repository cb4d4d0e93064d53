"""Release of a job: the attempt does not count."""

import pytest

from corvo_schema.states import EventType, JobState
from server_support.bench import Bench, is_done
from server_support.clock import START


async def test_released_job_is_pending_again(bench: Bench) -> None:
    job = await bench.start(unique_key="k")
    waiting = await bench.waiting()
    assert is_done(await bench.release(job))
    (again,) = await waiting
    assert (again.head.id, again.head.attempt) == (job.head.id, 1)
    assert again.head.lease_token != job.head.lease_token
    assert await bench.errors(job) == []
    assert (await bench.try_enqueue(unique_key="k")).is_duplicate
    assert (await bench.queue()).failed == 0


async def test_release_forgets_the_worker(bench: Bench) -> None:
    job = await bench.start()
    await bench.release(job)
    head = await bench.head(job)
    assert (head.state, head.attempt) == (JobState.PENDING, 0)
    assert (head.worker_id, head.hostname, head.lease_token, head.lease_expires_at) == (None,) * 4
    assert (await bench.last_event(job))[0] is EventType.RELEASED


async def test_release_with_a_delay_schedules(bench: Bench) -> None:
    job = await bench.start()
    bench.clock.forward(500)
    await bench.release(job, delay=2_000)
    head = await bench.head(job)
    assert (head.state, head.scheduled_at) == (JobState.SCHEDULED, START + 2_500)
    assert (await bench.tick(1_999))["promoted"] == 0
    assert (await bench.tick(1))["promoted"] == 1
    assert (await bench.fetch_one()).head.attempt == 1


@pytest.mark.parametrize("delay", [0, 1000])
async def test_release_hands_on_the_checkpoint(bench: Bench, delay: int) -> None:
    job = await bench.start()
    await bench.heartbeat(job, checkpoint="old")
    await bench.release(job, delay=delay, checkpoint="new")
    await bench.tick(delay)
    assert (await bench.fetch_one()).checkpoint == '"new"'


async def test_release_without_a_checkpoint_keeps_the_old_one(bench: Bench) -> None:
    job = await bench.start()
    await bench.heartbeat(job, checkpoint="old")
    await bench.release(job)
    assert (await bench.fetch_one()).checkpoint == '"old"'


async def test_releases_use_no_attempts(bench: Bench) -> None:
    job = await bench.start(max_retries=1)
    for _ in range(10):
        await bench.release(job)
        job = await bench.fetch_one()
    assert job.head.attempt == 1
    await bench.ack(job)
    assert await bench.state(job) is JobState.COMPLETED


async def test_release_undoes_only_its_own_attempt(bench: Bench) -> None:
    job = await bench.start(retry_backoff="none", max_retries=3)
    await bench.fail(job)
    await bench.tick()
    await bench.release(await bench.fetch_one())
    assert (await bench.head(job)).attempt == 1
    assert (await bench.fetch_one()).head.attempt == 2
