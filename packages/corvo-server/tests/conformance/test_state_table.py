"""Every transition of the table of states: the new state of the job, and the values stored."""

import pytest
from msgspec.structs import replace

from corvo_schema import format_ms
from corvo_schema.errors import ErrorCode
from corvo_schema.states import EventType, JobState, Priority
from corvo_server.store.records import Change, LeasedJob, Refusal
from server_support.bench import LEASE_MS, QUEUE, Bench, is_done, make_job
from server_support.clock import START


async def test_enqueue_makes_a_pending_job(bench: Bench) -> None:
    job_id = await bench.enqueue(
        payload={"to": "a@b"},
        priority="high",
        unique_key="k",
        tags={"env": "prod"},
        max_retries=5,
        retry_backoff="linear",
        retry_base_delay="2s",
        retry_max_delay="9s",
        expire_after="1h",
    )
    record = await bench.job(job_id)
    head = record.head
    assert (head.state, head.queue, head.attempt) == (JobState.PENDING, QUEUE, 0)
    assert (head.priority, head.max_retries) == (Priority.HIGH, 5)
    assert (head.backoff, head.base_delay, head.max_delay) == ("linear", 2_000, 9_000)
    assert (head.unique_key, head.created_at, head.expire_at) == ("k", START, START + 3_600_000)
    assert (head.scheduled_at, head.started_at, head.finished_at, head.failed_at) == (None,) * 4
    assert (record.payload, record.tags) == ('{"to":"a@b"}', '{"env":"prod"}')
    assert (record.progress, record.checkpoint, record.result) == (None, None, None)
    assert await bench.events(job_id) == [EventType.ENQUEUED]


async def test_enqueue_without_payload_stores_an_empty_object(bench: Bench) -> None:
    assert (await bench.job(await bench.enqueue())).payload == "{}"


async def test_enqueue_for_later_makes_a_scheduled_job(bench: Bench) -> None:
    job_id = await bench.enqueue(at=START + 1)
    head = await bench.head(job_id)
    assert (head.state, head.scheduled_at) == (JobState.SCHEDULED, START + 1)
    assert await bench.fetch_ids() == []
    assert await bench.events(job_id) == [EventType.ENQUEUED]


@pytest.mark.parametrize("late", [0, 1, START])
async def test_enqueue_for_the_past_means_at_once(bench: Bench, late: int) -> None:
    job_id = await bench.enqueue(at=START - late)
    assert await bench.state(job_id) is JobState.PENDING
    assert await bench.fetch_ids() == [job_id]


@pytest.mark.parametrize(
    "fields",
    [{}, {"expire_after": "1h"}, {"concurrency_key": "k"}, {"batch": "b"}],
    ids=lambda fields: next(iter(fields), "plain"),
)
async def test_heads_are_stored_as_they_were_answered(bench: Bench, fields: dict[str, str]) -> None:
    batch = "done" if fields.pop("batch", None) else None
    await bench.enqueue_batch(make_job(**fields), make_job(**fields), callback=batch)
    for _ in range(2):
        job = await bench.fetch_one()
        assert await bench.head(job.head.id) == job.head
        outcome = await bench.ack(job, result=1)
        assert isinstance(outcome, Change)
        assert await bench.head(job.head.id) == outcome.job


async def test_enqueue_creates_the_queue_and_counts(bench: Bench) -> None:
    await bench.enqueue("new")
    bench.clock.forward(5)
    await bench.enqueue("new", at=START + 50)
    queue = await bench.queue("new")
    assert (queue.created_at, queue.pending, queue.scheduled, queue.enqueued) == (START, 1, 1, 2)
    assert (queue.is_paused, queue.is_draining, queue.max_concurrency) == (False, False, None)


async def test_scheduled_job_is_promoted_when_due(bench: Bench) -> None:
    job_id = await bench.enqueue(at=START + 1000)
    assert (await bench.tick(999))["promoted"] == 0
    assert await bench.state(job_id) is JobState.SCHEDULED
    assert (await bench.tick(1))["promoted"] == 1
    assert await bench.state(job_id) is JobState.PENDING
    assert await bench.events(job_id) == [EventType.ENQUEUED, EventType.PROMOTED]
    assert await bench.fetch_ids() == [job_id]


async def test_promotion_wakes_a_waiting_fetch(bench: Bench) -> None:
    job_id = await bench.enqueue(at=START + 1000)
    waiting = await bench.waiting()
    await bench.tick(1000)
    (job,) = await waiting
    assert job.head.id == job_id


async def test_retrying_job_is_promoted_when_due(bench: Bench) -> None:
    job = await bench.start(retry_backoff="fixed", retry_base_delay="1s")
    await bench.fail(job)
    next_attempt = (await bench.head(job)).scheduled_at
    assert next_attempt is not None
    assert START + 1000 <= next_attempt <= START + 1100
    bench.clock.now = next_attempt - 1
    assert (await bench.tick())["promoted"] == 0
    waiting = await bench.waiting()
    assert (await bench.tick(1))["promoted"] == 1
    (again,) = await waiting
    assert (again.head.id, again.head.attempt) == (job.head.id, 2)


async def test_fetch_makes_a_job_active(bench: Bench) -> None:
    job_id = await bench.enqueue(payload=[1, 2], tags={"a": "b"})
    bench.clock.forward(7)
    job = await bench.fetch_one(worker="w-7", lease=30)
    assert (job.head.id, job.payload, job.tags, job.checkpoint) == (
        job_id,
        "[1,2]",
        '{"a":"b"}',
        None,
    )
    stored = await bench.head(job_id)
    assert stored == job.head
    assert (stored.state, stored.attempt, stored.started_at) == (JobState.ACTIVE, 1, START + 7)
    assert (stored.worker_id, stored.hostname) == ("w-7", "host-1")
    assert (stored.lease_ms, stored.lease_expires_at) == (30_000, START + 7 + 30_000)
    assert stored.lease_token
    assert await bench.last_event(job_id) == (
        EventType.STARTED,
        {"attempt": 1, "worker_id": "w-7"},
    )
    queue = await bench.queue()
    assert (queue.pending, queue.active) == (0, 1)


async def test_fetch_without_a_lease_duration_takes_the_default(bench: Bench) -> None:
    job = await bench.start()
    assert job.head.lease_ms == LEASE_MS
    assert job.head.lease_expires_at == START + LEASE_MS


async def test_ack_completes_a_job(bench: Bench) -> None:
    job = await bench.start(unique_key="k")
    bench.clock.forward(9)
    assert is_done(await bench.ack(job, result={"sent": 3}))
    record = await bench.job(job)
    assert (record.head.state, record.head.finished_at) == (JobState.COMPLETED, START + 9)
    assert (record.result, record.head.lease_expires_at) == ('{"sent":3}', None)
    assert record.head.worker_id == "worker-1"
    assert (await bench.last_event(job))[0] is EventType.COMPLETED
    assert (await bench.try_enqueue(unique_key="k")).is_new
    queue = await bench.queue()
    assert (queue.active, queue.completed) == (0, 1)


async def test_fail_with_attempts_left_makes_a_job_retrying(bench: Bench) -> None:
    job = await bench.start(
        unique_key="k", max_retries=2, retry_backoff="fixed", retry_base_delay="10s"
    )
    await bench.heartbeat(job, checkpoint={"page": 4})
    bench.clock.forward(3)
    assert is_done(await bench.fail(job, "boom", backtrace="line 1"))
    record = await bench.job(job)
    head = record.head
    assert (head.state, head.attempt, head.failed_at) == (JobState.RETRYING, 1, START + 3)
    assert head.scheduled_at is not None
    assert START + 3 + 10_000 <= head.scheduled_at <= START + 3 + 11_000
    assert (head.worker_id, head.lease_expires_at, head.finished_at) == (None, None, None)
    (failure,) = record.failures
    assert (failure.attempt, failure.error, failure.backtrace, failure.at) == (
        1,
        "boom",
        "line 1",
        START + 3,
    )
    assert record.checkpoint == '{"page":4}'
    assert (await bench.try_enqueue(unique_key="k")).is_duplicate
    assert await bench.last_event(job) == (
        EventType.RETRYING,
        {"attempt": 1, "error": "boom", "next_attempt_at": format_ms(head.scheduled_at)},
    )
    queue = await bench.queue()
    assert (queue.active, queue.retrying, queue.failed) == (0, 1, 1)


async def _attempts(bench: Bench, job_id: str) -> int:
    """Fail the job until it is dead. Return the number of attempts."""
    attempts = 0
    while await bench.state(job_id) is not JobState.DEAD:
        bench.clock.forward(86_400_000)
        await bench.tick()
        await bench.fail(await bench.fetch_one())
        attempts += 1
    return attempts


@pytest.mark.parametrize(("max_retries", "attempts"), [(0, 1), (1, 1), (2, 2), (5, 5)])
async def test_fail_without_attempts_left_makes_a_job_dead(
    bench: Bench, max_retries: int, attempts: int
) -> None:
    job_id = await bench.enqueue(unique_key="k", max_retries=max_retries)
    assert await _attempts(bench, job_id) == attempts
    record = await bench.job(job_id)
    assert [failure.attempt for failure in record.failures] == list(range(1, attempts + 1))
    assert record.head.finished_at == record.head.failed_at == bench.clock.now
    assert (await bench.last_event(job_id))[0] is EventType.DEAD
    assert (await bench.try_enqueue(unique_key="k")).is_new
    assert (await bench.queue()).dead == 1


async def test_fail_that_must_not_be_retried_makes_a_job_dead(bench: Bench) -> None:
    job = await bench.start(unique_key="k", max_retries=9)
    assert is_done(await bench.fail(job, "bad address", retry=False))
    assert await bench.state(job) is JobState.DEAD
    assert await bench.errors(job) == ["bad address"]
    assert await bench.last_event(job) == (
        EventType.DEAD,
        {"attempt": 1, "error": "bad address", "reason": "not to be retried"},
    )
    assert (await bench.try_enqueue(unique_key="k")).is_new


async def test_lease_that_expires_makes_a_job_pending(bench: Bench) -> None:
    job = await bench.start(worker="w-9", max_retries=2, unique_key="k")
    await bench.heartbeat(job, checkpoint=[1])
    assert (await bench.tick(LEASE_MS - 1))["reclaimed"] == 0
    assert await bench.state(job) is JobState.ACTIVE
    assert (await bench.tick(1))["reclaimed"] == 1
    record = await bench.job(job)
    head = record.head
    assert (head.state, head.attempt, head.lease_token) == (JobState.PENDING, 1, None)
    assert record.checkpoint == "[1]"
    (failure,) = record.failures
    assert (failure.attempt, failure.at) == (1, START + LEASE_MS)
    assert "lease expired" in failure.error
    assert "w-9" in failure.error
    kind, data = await bench.last_event(job)
    assert (kind, data["reason"]) == (EventType.RECLAIMED, "lease expired")
    assert (await bench.try_enqueue(unique_key="k")).is_duplicate
    again = await bench.fetch_one()
    assert (again.head.attempt, again.checkpoint) == (2, "[1]")


async def test_reclaimed_job_wakes_a_waiting_fetch(bench: Bench) -> None:
    job = await bench.start()
    waiting = await bench.waiting()
    await bench.tick(LEASE_MS)
    (again,) = await waiting
    assert again.head.id == job.head.id


async def test_job_that_crashes_its_workers_ends_as_dead(bench: Bench) -> None:
    job = await bench.start(max_retries=3)
    for _ in range(2):
        await bench.tick(LEASE_MS)
        job = await bench.fetch_one()
    await bench.tick(LEASE_MS)
    assert await bench.state(job) is JobState.DEAD
    assert [failure.attempt for failure in (await bench.job(job)).failures] == [1, 2, 3]
    kind, data = await bench.last_event(job)
    assert (kind, data["reason"]) == (EventType.DEAD, "lease expired")
    assert await bench.fetch_ids() == []


@pytest.mark.parametrize("state", [JobState.PENDING, JobState.SCHEDULED, JobState.RETRYING])
async def test_cancel_ends_a_waiting_job(bench: Bench, state: JobState) -> None:
    job_id = await bench.bring_to(state, unique_key="k")
    bench.clock.forward(5)
    assert (await bench.engine.jobs.cancel(job_id)).state is JobState.CANCELLED
    head = await bench.head(job_id)
    assert (head.state, head.finished_at) == (JobState.CANCELLED, bench.clock.now)
    assert (await bench.last_event(job_id))[0] is EventType.CANCELLED
    assert (await bench.try_enqueue(unique_key="k")).is_new
    assert (await bench.queue()).cancelled == 1


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.DEAD, JobState.CANCELLED])
async def test_retry_runs_a_finished_job_again(bench: Bench, state: JobState) -> None:
    job_id = await bench.bring_to(state, unique_key="k")
    errors = await bench.errors(job_id)
    bench.clock.forward(11)
    waiting = await bench.waiting()
    head = await bench.engine.jobs.retry(job_id)
    assert (head.state, head.attempt) == (JobState.PENDING, 0)
    (job,) = await waiting
    assert (job.head.id, job.head.attempt) == (job_id, 1)
    record = await bench.job(job_id)
    assert await bench.errors(job_id) == errors
    assert (record.result, record.head.finished_at) == (None, None)
    assert EventType.RETRIED in await bench.events(job_id)
    assert (await bench.try_enqueue(unique_key="k")).is_duplicate


async def test_retry_gives_a_dead_job_all_its_attempts_again(bench: Bench) -> None:
    job_id = await bench.enqueue(max_retries=2)
    assert await _attempts(bench, job_id) == 2
    await bench.engine.jobs.retry(job_id)
    assert await _attempts(bench, job_id) == 2
    assert len(await bench.errors(job_id)) == 4


@pytest.mark.parametrize("state", [JobState.SCHEDULED, JobState.RETRYING])
async def test_retry_makes_a_waiting_job_pending(bench: Bench, state: JobState) -> None:
    job_id = await bench.bring_to(state, unique_key="k")
    attempt = (await bench.head(job_id)).attempt
    await bench.engine.jobs.retry(job_id)
    job = await bench.fetch_one()
    assert (job.head.id, job.head.attempt) == (job_id, attempt + 1)
    assert (await bench.try_enqueue(unique_key="k")).is_duplicate


# Transitions that the table does not have are refused


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.ACTIVE])
@pytest.mark.parametrize("verb", ["ack", "fail", "release", "heartbeat"])
async def test_worker_calls_need_an_active_job(bench: Bench, state: JobState, verb: str) -> None:
    job_id = await bench.bring_to(state)
    before = await bench.job(job_id)
    outcome = await getattr(bench, verb)(LeasedJob(before.head, "{}", None, None), token=None)
    assert isinstance(outcome, Refusal)
    assert (outcome.code, outcome.state) == (ErrorCode.INVALID_STATE, state)
    assert state.value in outcome.message
    assert await bench.job(job_id) == before


@pytest.mark.parametrize("verb", ["ack", "fail", "release", "heartbeat"])
async def test_worker_calls_need_a_job(bench: Bench, verb: str) -> None:
    job = await bench.start()
    job = replace(job, head=replace(job.head, id="job_00000000000000000000000000"))
    outcome = await getattr(bench, verb)(job)
    assert isinstance(outcome, Refusal)
    assert outcome.code is ErrorCode.NOT_FOUND
    assert job.head.id in outcome.message


@pytest.mark.parametrize(
    ("state", "verb"),
    [
        (JobState.PENDING, "retry"),
        (JobState.ACTIVE, "retry"),
        (JobState.COMPLETED, "cancel"),
        (JobState.DEAD, "cancel"),
        (JobState.CANCELLED, "cancel"),
    ],
)
async def test_operators_call_in_the_wrong_state_changes_nothing(
    bench: Bench, state: JobState, verb: str
) -> None:
    job_id = await bench.bring_to(state)
    before = await bench.job(job_id)
    with pytest.raises(Exception, match=state.value) as caught:
        await getattr(bench.engine.jobs, verb)(job_id)
    assert caught.value.code is ErrorCode.INVALID_STATE
    assert await bench.job(job_id) == before


@pytest.mark.parametrize("verb", ["retry", "cancel", "get"])
async def test_operators_calls_need_a_job(bench: Bench, verb: str) -> None:
    with pytest.raises(Exception, match="no job job_x") as caught:
        await getattr(bench.engine.jobs, verb)("job_x")
    assert caught.value.code is ErrorCode.NOT_FOUND


async def test_batch_enqueue_stores_every_field_of_each_job(bench: Bench) -> None:
    results, batch_id = await bench.enqueue_batch(
        make_job("a", payload=1, priority="critical", tags={"n": "1"}),
        make_job("b", at=START + 60_000, max_retries=7),
    )
    assert batch_id is None
    assert [result.status for result in results] == ["pending", "scheduled"]
    first, second = [await bench.job(result.job_id) for result in results]
    assert (first.payload, first.tags, first.head.priority) == ("1", '{"n":"1"}', Priority.CRITICAL)
    assert (second.head.queue, second.head.max_retries) == ("b", 7)
    assert second.head.scheduled_at == START + 60_000
