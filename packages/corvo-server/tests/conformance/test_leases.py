"""Leases, and the heartbeats that extend them."""

import json

from corvo_schema.states import EventType, JobState
from corvo_server.store.records import LeasedJob
from server_support.bench import LEASE_MS, Bench, make_job
from server_support.clock import START


async def test_heartbeat_extends_by_the_jobs_own_lease(bench: Bench) -> None:
    job = await bench.start(lease=10)
    bench.clock.forward(9_000)
    await bench.heartbeat(job)
    assert (await bench.head(job)).lease_expires_at == START + 9_000 + 10_000
    assert (await bench.tick(9_999))["reclaimed"] == 0
    assert (await bench.tick(1))["reclaimed"] == 1


async def test_heartbeat_of_one_job_does_not_extend_another(bench: Bench) -> None:
    kept, lost = await bench.start(), await bench.start()
    bench.clock.forward(LEASE_MS - 1)
    await bench.heartbeat(kept)
    assert (await bench.tick(1))["reclaimed"] == 1
    assert await bench.state(kept) is JobState.ACTIVE
    assert await bench.state(lost) is JobState.PENDING


async def test_heartbeat_without_progress_writes_no_event(bench: Bench) -> None:
    job = await bench.start()
    before = await bench.events(job)
    await bench.heartbeat(job)
    await bench.heartbeat(job, checkpoint=1)
    assert await bench.events(job) == before


async def test_progress_is_kept_and_is_an_event(bench: Bench) -> None:
    job = await bench.start()
    await bench.heartbeat(job, progress={"current": 3, "total": 9})
    assert (await bench.job(job)).progress == '{"current":3,"total":9}'
    assert (await bench.events(job))[-1] is EventType.PROGRESS
    await bench.heartbeat(job)
    assert (await bench.job(job)).progress == '{"current":3,"total":9}'


async def test_progress_is_an_event_at_most_once_in_ten_seconds(
    bench: Bench,
) -> None:
    job = await bench.start()
    for number in range(100):
        bench.clock.forward(500)
        await bench.heartbeat(job, progress={"current": number, "total": 99})
    assert await _progress_of(bench, job) == [0, 19, 39, 59, 79, 99]
    await bench.heartbeat(job, progress={"current": 100, "total": 100})
    await bench.ack(job)
    stored = await bench.job(job)
    assert stored.progress == '{"current":100,"total":100}'
    # The next attempt begins anew.
    other = await bench.start(retry_backoff="none", retry_base_delay="0s", max_retries=3)
    for _ in range(2):
        bench.clock.forward(1)
        await bench.heartbeat(other, progress={"current": 1})
        await bench.heartbeat(other, progress={"current": 2})
        await bench.fail(other)
        await bench.tick(1)
        other = await bench.fetch_one()
    assert await _progress_of(bench, other) == [1, 1]


async def _progress_of(bench: Bench, job: LeasedJob) -> list[int]:
    """Return the progress of the events of a job."""
    events = (await bench.job(job)).events
    data = [event.data or "{}" for event in events if event.type is EventType.PROGRESS]
    return [json.loads(text)["progress"]["current"] for text in data]


async def test_checkpoint_is_handed_to_the_next_attempt(bench: Bench) -> None:
    job = await bench.start(retry_backoff="none")
    await bench.heartbeat(job, checkpoint={"n": 12345678901234567890})
    await bench.heartbeat(job)  # one without a checkpoint leaves it
    await bench.fail(job)
    await bench.tick()
    again = await bench.fetch_one()
    assert again.checkpoint == '{"n":12345678901234567890}'
    await bench.heartbeat(again, checkpoint=[2])
    await bench.tick(LEASE_MS)
    assert (await bench.fetch_one()).checkpoint == "[2]"


async def test_checkpoint_is_kept_when_the_job_is_dead(bench: Bench) -> None:
    job = await bench.start()
    await bench.heartbeat(job, checkpoint=7)
    await bench.fail(job, retry=False)
    assert (await bench.job(job)).checkpoint == "7"


async def test_more_leases_than_a_chunk_are_all_reclaimed(bench: Bench) -> None:
    await bench.enqueue_batch(*[make_job() for _ in range(700)])
    for _ in range(2):
        await bench.fetch(count=350)
    assert (await bench.tick(LEASE_MS))["reclaimed"] == 700
    assert (await bench.queue()).pending == 700
