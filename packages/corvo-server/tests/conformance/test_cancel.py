"""Cancelling: waiting jobs end at once, active jobs when their worker reports."""

import pytest

from corvo_schema.states import EventType, JobState
from corvo_server.store.records import Change
from server_support.bench import LEASE_MS, Bench, is_done


async def test_cancel_of_an_active_job_is_a_request(bench: Bench) -> None:
    job = await bench.start(unique_key="k")
    bench.clock.forward(5)
    head = await bench.engine.jobs.cancel(job.head.id)
    assert (head.state, head.is_cancel_requested) == (JobState.ACTIVE, True)
    assert (await bench.last_event(job))[0] is EventType.CANCEL_REQUESTED
    assert (await bench.try_enqueue(unique_key="k")).is_duplicate


async def test_next_heartbeat_says_cancel_and_still_extends_the_lease(bench: Bench) -> None:
    job = await bench.start()
    await bench.engine.jobs.cancel(job.head.id)
    bench.clock.forward(5)
    outcome = await bench.heartbeat(job, checkpoint=1)
    assert isinstance(outcome, Change)
    assert outcome.job.is_cancel_requested
    assert outcome.job.lease_expires_at == bench.clock.now + LEASE_MS
    assert (await bench.job(job)).checkpoint == "1"


async def test_ack_after_a_cancel_request_completes(bench: Bench) -> None:
    job = await bench.start()
    await bench.engine.jobs.cancel(job.head.id)
    assert is_done(await bench.ack(job, result="sent"))
    record = await bench.job(job)
    assert (record.head.state, record.result) == (JobState.COMPLETED, '"sent"')


@pytest.mark.parametrize("may_retry", [True, False])
async def test_fail_after_a_cancel_request_cancels(bench: Bench, may_retry: bool) -> None:
    job = await bench.start(max_retries=5, unique_key="k")
    await bench.engine.jobs.cancel(job.head.id)
    await bench.fail(job, "stopped", retry=may_retry)
    assert await bench.state(job) is JobState.CANCELLED
    assert await bench.errors(job) == ["stopped"]
    kind, data = await bench.last_event(job)
    assert (kind, data["reason"]) == (EventType.CANCELLED, "cancel requested")
    assert (await bench.try_enqueue(unique_key="k")).is_new


async def test_release_after_a_cancel_request_cancels(bench: Bench) -> None:
    job = await bench.start(unique_key="k")
    await bench.engine.jobs.cancel(job.head.id)
    await bench.release(job, delay=60_000, checkpoint="kept")
    record = await bench.job(job)
    assert (record.head.state, record.checkpoint) == (JobState.CANCELLED, '"kept"')
    assert (await bench.last_event(job))[1]["reason"] == "cancel requested"
    assert (await bench.try_enqueue(unique_key="k")).is_new


async def test_lease_that_ends_after_a_cancel_request_cancels(bench: Bench) -> None:
    job = await bench.start(max_retries=5)
    await bench.engine.jobs.cancel(job.head.id)
    await bench.tick(LEASE_MS)
    assert await bench.state(job) is JobState.CANCELLED
    (error,) = await bench.errors(job)
    assert "lease expired" in error
    assert (await bench.last_event(job))[1]["reason"] == "cancel requested"


async def test_handler_may_cancel_its_own_job(bench: Bench) -> None:
    job = await bench.start(max_retries=5)
    await bench.fail(job, "the user is gone", cancel=True)
    assert await bench.state(job) is JobState.CANCELLED
    kind, data = await bench.last_event(job)
    assert (kind, data["reason"]) == (EventType.CANCELLED, "the user is gone")


async def test_retry_forgets_the_cancel_request(bench: Bench) -> None:
    job = await bench.start()
    await bench.engine.jobs.cancel(job.head.id)
    await bench.fail(job)
    await bench.engine.jobs.retry(job.head.id)
    again = await bench.fetch_one()
    assert not again.head.is_cancel_requested
    assert is_done(await bench.fail(again))
    assert await bench.state(job) is JobState.RETRYING


async def test_cancelled_job_is_not_handed_out(bench: Bench) -> None:
    job_id = await bench.enqueue(at=bench.clock.now + 1000)
    await bench.engine.jobs.cancel(job_id)
    assert await bench.tick(1000) == {"promoted": 0, "reclaimed": 0, "expired": 0}
    assert await bench.fetch_ids() == []
