"""The timeline of a job: every change is an event, with its reason."""

from typing import Any

import orjson
import pytest

from corvo_schema.states import ALTERNATIVES, TRANSITIONS, EventType, JobState
from server_support.bench import LEASE_MS, Bench
from server_support.clock import START


async def events_with_data(bench: Bench, job_id: str) -> list[tuple[EventType, dict[str, Any]]]:
    """Return the type and data of all events of a job."""
    return [
        (event.type, orjson.loads(event.data or "{}")) for event in (await bench.job(job_id)).events
    ]


async def test_timeline_has_the_whole_life_in_order(bench: Bench) -> None:
    job_id = await bench.enqueue(at=START + 10, retry_backoff="none", max_retries=2)
    await bench.tick(10)
    job = await bench.fetch_one()
    await bench.heartbeat(job, progress={"current": 1})
    await bench.fail(job)
    await bench.tick(5)
    await bench.fetch_one()
    await bench.tick(LEASE_MS)
    await bench.engine.jobs.retry(job_id)
    job = await bench.fetch_one()
    await bench.engine.jobs.cancel(job_id)
    await bench.ack(job)
    events = (await bench.job(job_id)).events
    assert [event.type for event in events] == [
        EventType.ENQUEUED,
        EventType.PROMOTED,
        EventType.STARTED,
        EventType.PROGRESS,
        EventType.RETRYING,
        EventType.PROMOTED,
        EventType.STARTED,
        EventType.DEAD,
        EventType.RETRIED,
        EventType.STARTED,
        EventType.CANCEL_REQUESTED,
        EventType.COMPLETED,
    ]
    assert [event.id for event in events] == sorted({event.id for event in events})
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert {(event.job_id, event.queue) for event in events} == {(job_id, "mail")}


async def test_promotion_event_has_its_reason(bench: Bench) -> None:
    scheduled = await bench.enqueue(at=START + 10)
    retrying = await bench.bring_to(JobState.RETRYING, queue="other", retry_base_delay="1ms")
    await bench.tick(1000)
    reasons = [(await events_with_data(bench, job_id))[-1] for job_id in (scheduled, retrying)]
    assert [kind for kind, _ in reasons] == [EventType.PROMOTED] * 2
    assert "scheduled" in reasons[0][1]["reason"]
    assert "backoff" in reasons[1][1]["reason"]


async def test_reclaim_event_has_its_reason_and_worker(bench: Bench) -> None:
    job = await bench.start(worker="w-3")
    await bench.tick(LEASE_MS)
    kind, data = (await events_with_data(bench, job.head.id))[-1]
    assert (kind, data["reason"], data["attempt"]) == (EventType.RECLAIMED, "lease expired", 1)
    assert "w-3" in data["error"]


async def test_expiry_event_has_its_reason(bench: Bench) -> None:
    job_id = await bench.enqueue(expire_after="1s")
    await bench.tick(1000)
    kind, data = (await events_with_data(bench, job_id))[-1]
    assert (kind, data["reason"]) == (EventType.EXPIRED, "expired")


async def test_start_event_has_its_worker_and_attempt(bench: Bench) -> None:
    job = await bench.start(worker="w-3")
    assert (await events_with_data(bench, job.head.id))[-1] == (
        EventType.STARTED,
        {"attempt": 1, "worker_id": "w-3"},
    )


async def test_progress_event_has_the_progress(bench: Bench) -> None:
    job = await bench.start()
    await bench.heartbeat(job, progress={"current": 3, "total": 9})
    kind, data = (await events_with_data(bench, job.head.id))[-1]
    assert (kind, data["progress"]) == (EventType.PROGRESS, {"current": 3, "total": 9})


async def test_long_errors_are_cut_in_events(bench: Bench) -> None:
    job = await bench.start()
    await bench.fail(job, "x" * 5000)
    _, data = (await events_with_data(bench, job.head.id))[-1]
    assert len(data["error"]) == 1000
    assert await bench.errors(job) == ["x" * 5000]


async def test_very_long_errors_are_shortened_in_the_middle(bench: Bench) -> None:
    job = await bench.start()
    await bench.fail(job, "a" * 20_000 + "z" * 20_000, backtrace="b" * 200_000)
    (failure,) = (await bench.job(job)).failures
    assert failure.error.startswith("a" * 8192 + "\n… 23616 characters left out …\nz")
    assert len(failure.error) < 17_000
    assert failure.backtrace is not None
    assert len(failure.backtrace) < 66_000


async def test_call_without_effect_is_no_event(bench: Bench) -> None:
    job = await bench.start(unique_key="k")
    await bench.ack(job)
    before = bench.kit.count_rows("events")
    await bench.ack(job)
    await bench.fail(job)
    await bench.heartbeat(job)
    assert bench.kit.count_rows("events") == before


async def test_listeners_get_the_events_of_each_commit(bench: Bench) -> None:
    bench.commits.clear()
    job_id = await bench.enqueue()
    assert [(event.type, event.job_id) for commit in bench.commits for event in commit.events] == [
        (EventType.ENQUEUED, job_id)
    ]
    bench.assert_listeners_got((await bench.job(job_id)).events)


@pytest.mark.parametrize("state", JobState)
async def test_every_event_is_a_transition_of_the_table(bench: Bench, state: JobState) -> None:
    job_id = await bench.bring_to(state, expire_after="1h")
    after: JobState | None = None
    for kind, _ in await events_with_data(bench, job_id):
        allowed = {TRANSITIONS[after, kind], ALTERNATIVES.get((after, kind))}
        after = state if state in allowed else TRANSITIONS[after, kind]
    assert after is state
