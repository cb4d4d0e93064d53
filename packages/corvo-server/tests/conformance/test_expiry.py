"""Jobs that are not finished by their `expire_at`."""

import asyncio

import pytest

from corvo_schema.states import EventType, JobState
from server_support.bench import LEASE_MS, Bench, is_done, make_job, turns
from server_support.clock import START


@pytest.mark.parametrize("state", [JobState.PENDING, JobState.SCHEDULED, JobState.RETRYING])
async def test_waiting_job_is_dead_once_expired(bench: Bench, state: JobState) -> None:
    job_id = await bench.bring_to(state, expire_after="10s", retry_base_delay="1h", unique_key="k")
    waiting = await bench.head(job_id)
    assert (await bench.tick(9_999))["expired"] == 0
    assert await bench.state(job_id) is state
    assert (await bench.tick(1))["expired"] == 1
    head = await bench.head(job_id)
    assert (head.state, head.finished_at) == (JobState.DEAD, START + 10_000)
    assert head.attempt == waiting.attempt
    assert (await bench.errors(job_id))[-1] == "expired"
    kind, data = await bench.last_event(job_id)
    assert (kind, data["reason"]) == (EventType.EXPIRED, "expired")
    assert (await bench.try_enqueue(unique_key="k")).is_new


async def test_expired_job_is_not_handed_out_even_before_it_is_ended(bench: Bench) -> None:
    await bench.enqueue(expire_after="10s")
    alive = await bench.enqueue(expire_after="11s")
    bench.clock.forward(10_000)
    assert await bench.fetch_ids() == [alive]


async def test_expired_job_does_not_block_others(bench: Bench) -> None:
    for _ in range(5):
        await bench.enqueue(priority="critical", expire_after="1s")
    alive = await bench.enqueue()
    bench.clock.forward(1000)
    assert (await bench.fetch_one()).head.id == alive


async def test_active_job_outlives_its_expiry(bench: Bench) -> None:
    job = await bench.start(expire_after="10s")
    assert (await bench.tick(10_000))["expired"] == 0
    assert await bench.state(job) is JobState.ACTIVE
    assert is_done(await bench.heartbeat(job))
    assert is_done(await bench.ack(job))
    assert await bench.state(job) is JobState.COMPLETED


async def test_active_job_that_fails_past_its_expiry_is_dead(bench: Bench) -> None:
    job = await bench.start(expire_after="10s", max_retries=5, unique_key="k")
    bench.clock.forward(10_000)
    assert is_done(await bench.fail(job, "boom", backtrace="line 1"))
    record = await bench.job(job)
    assert record.head.state is JobState.DEAD
    (failure,) = record.failures
    assert (failure.error, failure.backtrace) == ("expired: boom", "line 1")
    assert (await bench.last_event(job))[0] is EventType.EXPIRED
    assert (await bench.try_enqueue(unique_key="k")).is_new


async def test_active_job_that_is_released_past_its_expiry_is_dead(bench: Bench) -> None:
    job = await bench.start(expire_after="10s")
    bench.clock.forward(10_000)
    assert is_done(await bench.release(job, delay=5))
    assert await bench.state(job) is JobState.DEAD
    assert await bench.errors(job) == ["expired"]


async def test_checkpoint_of_a_release_past_the_expiry_is_kept(bench: Bench) -> None:
    job = await bench.start(expire_after="10s")
    bench.clock.forward(10_000)
    await bench.release(job, checkpoint={"page": 9})
    assert (await bench.job(job)).checkpoint == '{"page":9}'


async def test_active_job_whose_lease_ends_past_its_expiry_is_dead(bench: Bench) -> None:
    job = await bench.start(expire_after="10s", max_retries=5)
    assert (await bench.tick(LEASE_MS))["reclaimed"] == 1
    assert await bench.state(job) is JobState.DEAD
    (error,) = await bench.errors(job)
    assert error.startswith("expired: lease expired")
    assert (await bench.last_event(job))[0] is EventType.EXPIRED


async def test_cancel_request_takes_precedence_over_the_expiry(bench: Bench) -> None:
    job = await bench.start(expire_after="10s")
    await bench.engine.jobs.cancel(job.head.id)
    bench.clock.forward(10_000)
    await bench.fail(job)
    assert await bench.state(job) is JobState.CANCELLED


async def test_expiry_at_once(bench: Bench) -> None:
    job_id = await bench.enqueue(expire_after="0s")
    assert await bench.fetch_ids() == []
    assert (await bench.tick())["expired"] == 1
    assert await bench.state(job_id) is JobState.DEAD


async def test_retry_of_an_expired_job_removes_its_expiry(bench: Bench) -> None:
    job_id = await bench.enqueue(expire_after="10s")
    await bench.tick(10_000)
    await bench.engine.jobs.retry(job_id)
    assert (await bench.tick())["expired"] == 0
    assert await bench.fetch_ids() == [job_id]


async def test_retry_keeps_an_expiry_that_is_still_to_come(bench: Bench) -> None:
    job_id = await bench.bring_to(JobState.DEAD, expire_after="10s")
    await bench.engine.jobs.retry(job_id)
    assert (await bench.tick(10_000))["expired"] == 1


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.CANCELLED, JobState.DEAD])
async def test_finished_job_does_not_expire(bench: Bench, state: JobState) -> None:
    job_id = await bench.bring_to(state, expire_after="10s")
    before = await bench.job(job_id)
    assert (await bench.tick(20_000))["expired"] == 0
    assert await bench.job(job_id) == before


async def test_more_jobs_than_a_chunk_all_expire(bench: Bench) -> None:
    await bench.enqueue_batch(*[make_job(expire_after="1s") for _ in range(1100)])
    assert (await bench.tick(1000))["expired"] == 1100
    assert (await bench.queue()).dead == 1100


async def test_promotion_wakes_a_fetch_although_another_job_expires(bench: Bench) -> None:
    await bench.enqueue(expire_after="1s")  # still pending after its expiry
    due = await bench.enqueue(at=START + 1000)
    bench.clock.forward(1000)
    waiting = await bench.waiting()
    with bench.kit.hold_commits(bench.store):
        work = [
            asyncio.ensure_future(bench.engine.maintenance.expire()),
            asyncio.ensure_future(bench.engine.maintenance.promote()),
        ]
        await turns()
    assert await asyncio.gather(*work) == [1, 1]
    (job,) = await asyncio.wait_for(waiting, 5)
    assert job.head.id == due
