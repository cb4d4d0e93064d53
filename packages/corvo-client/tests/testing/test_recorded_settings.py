"""Recorded schedules, pauses and limits."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from corvo_client import (
    AsyncClient,
    Client,
    InvalidState,
    NotFound,
    PayloadTooLarge,
    Priority,
    ValidationFailed,
)
from corvo_client.testing import NoServer, RecordedJobs, recording
from corvo_client.worker import Worker

DIGEST = "30 7 * * MON-FRI"


@pytest.fixture
def jobs() -> Iterator[RecordedJobs]:
    with recording() as jobs:
        yield jobs


@pytest.fixture
def client() -> Iterator[Client]:
    with Client() as client:
        yield client


def test_schedules_are_recorded_and_run_by_hand(jobs: RecordedJobs, client: Client) -> None:
    made = client.put_schedule(
        "nightly / digest",
        queue="digests",
        cron=DIGEST,
        timezone="Europe/Berlin",
        payload={"kind": "daily"},
        max_retries=7,
        tags={"a": "b"},
    )
    assert jobs.schedules == {"nightly / digest": made}
    assert (made.timezone, made.paused, made.next_run) == ("Europe/Berlin", False, None)
    reply = client.run_schedule("nightly / digest")
    assert reply.status == "enqueued"
    job = jobs.assert_enqueued("digests", {"kind": "daily"})
    assert (job.id, job.max_retries, job.tags) == (reply.job_id, 7, {"a": "b"})
    again = client.put_schedule("nightly / digest", queue="digests", cron=DIGEST)
    assert (again.id, again.last_job_id, again.payload) == (made.id, job.id, {})
    assert client.get_schedule(made.id) == again
    assert client.upcoming_runs(made.id) == []
    jobs.forward("7d")
    assert len(jobs.all) == 1
    jobs.clear()
    assert jobs.schedules == {}


def test_schedules_are_paused_replaced_and_deleted(jobs: RecordedJobs, client: Client) -> None:
    client.put_schedule("b", queue="digests", cron=DIGEST)
    client.put_schedule("a", queue="q", cron="@daily", unique_key="k")
    assert client.pause_schedule("a").status == "paused"
    assert jobs.schedules["a"].paused
    assert [schedule.name for schedule in client.list_schedules()] == ["a", "b"]
    assert client.run_schedule("a").status == "enqueued"
    assert client.run_schedule("a").status == "duplicate"
    assert client.resume_schedule("a").status == "resumed"
    client.replace_schedule("a", "c", queue="q", cron="@hourly")
    assert list(jobs.schedules) == ["b", "c"]
    with pytest.raises(InvalidState, match="another schedule 'b'"):
        client.replace_schedule("c", "b", queue="q", cron="@hourly")
    assert client.delete_schedule("c").status == "deleted"
    for call in (client.get_schedule, client.delete_schedule, client.run_schedule):
        with pytest.raises(NotFound, match="no schedule 'c'"):
            call("c")
    for cron in ("@nightly", "1 2 3 4", "* * * * * *"):
        with pytest.raises(ValidationFailed, match="five fields"):
            client.put_schedule("x", queue="q", cron=cron)
    assert list(jobs.schedules) == ["b"]


def test_limits_and_counts_are_recorded(jobs: RecordedJobs, client: Client) -> None:
    client.limit_queue("tenants", 10, per_key=2)
    client.limit_queue("tenants", per_key=0)
    client.throttle_queue("tenants", 5, "1m")
    client.enqueue("other")
    queue = jobs.queues["tenants"]
    assert (queue.max_concurrency, queue.max_per_key) == (10, None)
    assert (queue.rate_limit, queue.rate_window_ms, queue.pending) == (5, 60_000, 0)
    client.unthrottle_queue("tenants")
    assert client.get_queue("tenants").rate_limit is None
    other = jobs.queues["other"]
    assert (other.pending, other.enqueued, other.max_concurrency) == (1, 1, None)
    assert [queue.name for queue in client.list_queues()] == ["other", "tenants"]
    with pytest.raises(NotFound, match="no queue 'unknown'"):
        client.get_queue("unknown")
    with pytest.raises(NoServer, match="search"):
        client.search(queue="other")


async def test_a_drain_leaves_paused_queues_out(jobs: RecordedJobs) -> None:
    worker = Worker()

    @worker.task("a")
    def a() -> None: ...

    @worker.task("b")
    def b() -> None: ...

    async with AsyncClient() as client:
        assert (await client.pause_queue("a")).status == "paused"
        await a.aenqueue()
        await b.aenqueue()
        assert (await jobs.drain_async(worker)).completed == 1
        assert jobs.queues["a"].paused
        assert (await client.resume_queue("a")).status == "resumed"
        assert (await jobs.drain_async(worker)).completed == 1
        assert (await client.drain_queue("a")).status == "draining"
        assert (jobs.queues["a"].paused, jobs.queues["a"].draining) == (True, True)
        assert jobs.queues["a"].completed == 1


def test_defaults_of_a_queue_apply_to_its_jobs(jobs: RecordedJobs, client: Client) -> None:
    client.set_queue_defaults("q", priority="high", unique_period=60, expire_after="1h")
    client.enqueue("q", unique_key="k")
    first = jobs.assert_enqueued("q")
    assert (first.priority, first.max_retries) == (Priority.HIGH, 3)
    assert first.expire_at == first.created_at + timedelta(hours=1)
    assert client.enqueue("q", unique_key="k").unique_existing
    assert not client.enqueue("q", unique_key="other", unique_period=600).unique_existing
    jobs.forward(61)
    assert not client.enqueue("q", unique_key="k").unique_existing
    assert client.enqueue("q", unique_key="other").unique_existing
    client.put_schedule("s", queue="q", cron="@daily", expire_after="1m")
    client.run_schedule("s")
    assert jobs.all[-1].expire_at == jobs.now + timedelta(minutes=1)
    assert jobs.queues["q"].defaults is not None
    jobs.clear()
    client.enqueue("q")
    assert jobs.all[0].priority == Priority.NORMAL


def test_a_schema_that_a_server_refuses_is_refused(jobs: RecordedJobs, client: Client) -> None:
    with pytest.raises(PayloadTooLarge, match="payload_schema has 65"):
        client.set_queue_defaults("q", payload_schema={"title": "x" * 65_536})
    assert jobs.queues == {}


async def test_a_queue_with_an_active_job_is_not_deleted(jobs: RecordedJobs) -> None:
    worker = Worker()

    @worker.task("q")
    async def empty(call: str) -> str:
        async with AsyncClient() as client:
            return str(getattr(await getattr(client, call)("q"), "deleted", None))

    await empty.aenqueue("clear_queue")
    await empty.options(delay=60).aenqueue("delete_queue")
    await empty.options(delay=120).aenqueue("get_queue")
    drained = await jobs.drain_async(worker, within=0)
    assert [(job.state, job.result) for job in jobs.all] == [("completed", "2")]
    await empty.options(max_retries=1).aenqueue("delete_queue")
    drained = await jobs.drain_async(worker)
    assert (drained.dead, len(jobs.all)) == (1, 2)
    assert "Queue q has 1 active jobs. Drain it" in jobs.all[-1].errors[0].error
    async with AsyncClient() as client:
        assert (await client.delete_queue("q")).deleted == 2
    assert jobs.all == []
    assert jobs.queues == {}
