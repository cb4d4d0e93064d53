"""Restarts: all data is unchanged after closing and opening a store."""

from corvo_schema.states import JobState
from server_support.bench import LEASE_MS, Bench, is_done, make_job
from server_support.clock import START


async def test_every_job_is_unchanged_after_a_restart(bench: Bench) -> None:
    job_ids = [await bench.bring_to(state, payload={"s": state}) for state in JobState]
    before = await bench.store.find_jobs(job_ids)
    queues = await bench.store.list_queues()
    timelines = [(await bench.job(job_id)).events for job_id in job_ids]
    await bench.restart()
    assert await bench.store.find_jobs(job_ids) == before
    assert await bench.store.list_queues() == queues
    assert [(await bench.job(job_id)).events for job_id in job_ids] == timelines


async def test_active_job_stays_with_its_worker(bench: Bench) -> None:
    job = await bench.start()
    await bench.restart()
    assert await bench.fetch_ids() == []
    assert is_done(await bench.heartbeat(job, checkpoint=5))
    assert is_done(await bench.ack(job))
    assert await bench.state(job) is JobState.COMPLETED


async def test_lease_ends_at_its_time(bench: Bench) -> None:
    job = await bench.start()
    await bench.restart()
    assert (await bench.tick(LEASE_MS - 1))["reclaimed"] == 0
    assert (await bench.tick(1))["reclaimed"] == 1
    assert await bench.state(job) is JobState.PENDING


async def test_next_times_are_known_after_a_restart(bench: Bench) -> None:
    await bench.enqueue(at=START + 5_000)
    await bench.enqueue(at=START + 3_000, expire_after="1h")
    await bench.start(queue="other", lease=30)
    await bench.restart()
    times = await bench.engine.maintenance.next_times()
    assert (times.due, times.lease_end, times.expiry) == (
        START + 3_000,
        START + 30_000,
        START + 3_600_000,
    )


async def test_empty_store_waits_for_nothing(bench: Bench) -> None:
    times = await bench.engine.maintenance.next_times()
    assert (times.due, times.lease_end, times.expiry) == (None, None, None)


async def test_order_continues_after_a_restart(bench: Bench) -> None:
    first = await bench.enqueue()
    await bench.restart()
    second = await bench.enqueue()
    high = await bench.enqueue(priority="high")
    assert await bench.fetch_ids() == [high, first, second]


async def test_order_continues_after_a_restart_without_the_newest_job(bench: Bench) -> None:
    first = await bench.enqueue()
    newest = await bench.enqueue()
    await bench.engine.jobs.cancel(newest)
    await bench.prune(8 * 86_400_000)
    await bench.restart()
    second = await bench.enqueue()
    assert await bench.fetch_ids() == [first, second]


async def test_unique_keys_are_still_held(bench: Bench) -> None:
    job_id = await bench.enqueue(unique_key="k", unique_period=10)
    await bench.restart()
    assert (await bench.try_enqueue(unique_key="k")).job_id == job_id
    bench.clock.forward(10_000)
    assert (await bench.try_enqueue(unique_key="k")).is_new


async def test_queue_stays_paused(bench: Bench) -> None:
    await bench.enqueue()
    await bench.engine.queues.pause("mail")
    await bench.restart()
    assert await bench.fetch_ids() == []
    assert (await bench.queue()).is_paused


async def test_cancel_request_survives_a_restart(bench: Bench) -> None:
    job = await bench.start()
    await bench.engine.jobs.cancel(job.head.id)
    await bench.restart()
    outcome = await bench.heartbeat(job)
    assert is_done(outcome)
    assert (await bench.head(job)).is_cancel_requested


async def test_documents_are_kept_to_the_byte(bench: Bench) -> None:
    text = '{"b":1.50,"a":"\\u00e9é","n":123456789012345678901234567890, "s":"\\u0000"}'
    request, _ = make_job()
    job_id = (await bench.engine.jobs.enqueue(request, text.encode())).job_id
    await bench.restart()
    job = await bench.fetch_one()
    assert (job.head.id, job.payload) == (job_id, text)
