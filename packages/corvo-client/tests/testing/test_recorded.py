"""Recording of jobs: assertions, drains and inline runs."""

import asyncio
import functools
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict, Unpack
from unittest.mock import ANY

import pytest
from pydantic import BaseModel, Field

from corvo_client import (
    AsyncClient,
    BatchOptions,
    Client,
    InvalidState,
    Job,
    NotFound,
    PayloadTooLarge,
)
from corvo_client.testing import Drained, NeverEmpty, NoServer, RecordedJobs, recording
from corvo_client.worker import CallNext, Cancel, Context, Retry, Snooze, Worker, current_job


class Email(BaseModel):
    to: str
    at: datetime | None = None


class OpenEmail(BaseModel, extra="allow"):
    sender: str = Field(alias="From")


class Size(TypedDict):
    width: int


def in_a_process(context: Context) -> str:
    return f"{context.state} in a thread"


@pytest.fixture
def jobs() -> Iterator[RecordedJobs]:
    with recording() as jobs:
        yield jobs


@pytest.fixture
def client() -> Iterator[Client]:
    with Client() as client:
        yield client


@pytest.fixture
def worker() -> Worker:
    return Worker()


def states(jobs: RecordedJobs) -> list[str]:
    return [str(job.state) for job in jobs.all]


# Recording


def test_jobs_of_clients_and_tasks_are_recorded(
    jobs: RecordedJobs, client: Client, worker: Worker
) -> None:
    @worker.task("emails", max_retries=5)
    async def send(context: Context, email: Email, cc: str = "nobody") -> None: ...

    reply = client.enqueue("a", {"n": 1}, tags={"k": "v"}, priority="high")
    send.enqueue(Email(to="ada"))
    asyncio.run(enqueue(jobs))
    first, second, third = jobs.all
    assert (reply.job_id, reply.status, reply.unique_existing) == (first.id, "pending", False)
    assert (first.queue, first.payload, first.tags, first.priority) == (
        "a",
        {"n": 1},
        {"k": "v"},
        1,
    )
    assert (second.payload, second.max_retries) == ({"email": {"to": "ada", "at": None}}, 5)
    assert third.queue == "b"
    assert client.get_job(first.id) == first
    assert client.bulk_get([third.id, "job_x"]) == [third]
    jobs.clear()
    assert jobs.all == []


async def enqueue(jobs: RecordedJobs) -> None:
    async with AsyncClient() as client:
        await client.enqueue("b")
        assert (await client.info()).server_version == "recorded"
        assert (await client.healthz()).status == "ok"


def test_recordings_nest_and_end(client: Client) -> None:
    with recording() as outer:
        client.enqueue("outer")
        with recording() as inner:
            client.enqueue("inner")
        client.enqueue("outer")
    assert [job.queue for job in outer.all] == ["outer", "outer"]
    assert [job.queue for job in inner.all] == ["inner"]


async def test_calls_that_need_a_server_raise(jobs: RecordedJobs, client: Client) -> None:
    with pytest.raises(NoServer, match="GET /api/v1/workers: this needs a server"):
        client.list_workers()
    with pytest.raises(NoServer, match="events"):
        list(client.follow_events())
    async with AsyncClient() as asynchronous:
        with pytest.raises(NoServer):
            await asynchronous.cluster_status()
        with pytest.raises(NoServer, match="events"):
            await anext(asynchronous.follow_events())


def test_errors_are_those_of_a_server(jobs: RecordedJobs, client: Client) -> None:
    with pytest.raises(NotFound, match="no job job_x"):
        client.get_job("job_x")
    with pytest.raises(NotFound, match="no batch batch_x"):
        client.get_batch("batch_x")
    with pytest.raises(PayloadTooLarge, match="payload has"):
        client.enqueue("q", "x" * 300_000)
    with pytest.raises(PayloadTooLarge, match=r"jobs\[1\]"):
        client.enqueue_batch([{"queue": "q"}, {"queue": "q", "payload": "x" * 300_000}])
    assert jobs.all == []


def test_time_moves_only_by_forward(jobs: RecordedJobs, client: Client) -> None:
    client.enqueue("q", delay=60)
    client.enqueue("q", scheduled_at=datetime.now(UTC) - timedelta(days=1))
    client.enqueue("q", expire_after="1h")
    before = jobs.now
    assert states(jobs) == ["scheduled", "pending", "pending"]
    assert jobs.all[0].scheduled_at == before + timedelta(seconds=60)
    assert jobs.all[2].expire_at == before + timedelta(hours=1)
    jobs.forward("1m")
    jobs.forward(1.5)
    assert jobs.now == before + timedelta(seconds=61.5)


# Assertions


def test_assert_enqueued_accepts_a_queue_and_some_members(
    jobs: RecordedJobs, client: Client
) -> None:
    client.enqueue("emails", {"to": "ada", "at": "2026-01-31T08:00:00Z", "cc": ["a", "b"]})
    client.enqueue("emails", {"to": "bob", "at": None, "cc": []})
    client.enqueue("sums", [1, 2])
    at = datetime(2026, 1, 31, 8, tzinfo=UTC)
    assert jobs.assert_enqueued("emails", to="ada", at=at, cc=("a", "b")) is jobs.all[0]
    assert jobs.assert_enqueued("emails") is jobs.all[1]
    assert jobs.assert_enqueued("emails", to=ANY, at=None) is jobs.all[1]
    assert jobs.assert_enqueued("sums", (1, 2)) is jobs.all[2]
    assert jobs.assert_enqueued(to="ada") is jobs.all[0]
    assert len(jobs.enqueued()) == 3
    assert len(jobs.enqueued("emails", to=ANY)) == 2
    assert jobs.enqueued("emails", at=object()) == []
    jobs.assert_not_enqueued("sums", to="ada")
    jobs.assert_not_enqueued("emails", {"to": "ada"})


def test_assert_enqueued_lists_the_enqueued_jobs(jobs: RecordedJobs, client: Client) -> None:
    with pytest.raises(AssertionError, match="to queue 'q' with n=1; no jobs were enqueued"):
        jobs.assert_enqueued("q", n=1)
    for n in range(25):
        client.enqueue("q", {"n": n})
    with pytest.raises(AssertionError) as caught:
        jobs.assert_enqueued("q", {"n": 99}, n=99)
    text = str(caught.value)
    assert (
        "no job was enqueued to queue 'q' with the payload {'n': 99}, n=99; enqueued jobs:" in text
    )
    assert "(5 earlier jobs)" in text
    assert "q {'n': 24} (pending)" in text
    assert "q {'n': 4} (pending)" not in text
    with pytest.raises(AssertionError, match="25 jobs were enqueued to any queue"):
        jobs.assert_not_enqueued()


def test_assert_enqueued_accepts_a_task_and_its_arguments(
    jobs: RecordedJobs, worker: Worker
) -> None:
    @worker.task("thumbnails")
    def make(context: Context, image: str, width: int = 200) -> None: ...

    @worker.task("emails")
    async def send(email: Email) -> None: ...

    make.enqueue("cat.png")
    send.enqueue(Email(to="ada"))
    assert jobs.assert_enqueued(make, image="cat.png", width=200).payload == {"image": "cat.png"}
    jobs.assert_not_enqueued(make, width=100)
    jobs.assert_enqueued(send, to="ada")
    jobs.assert_enqueued(send, email=Email(to="ada"))
    jobs.assert_not_enqueued(send, email=Email(to="bob"))


def test_unknown_arguments_are_refused(jobs: RecordedJobs, client: Client, worker: Worker) -> None:
    @worker.task("thumbnails")
    def make(context: Context, image: str, width: int = 200) -> None: ...

    @worker.task("emails")
    async def send(email: Email) -> None: ...

    @worker.task("anything")
    def anything(**members: int) -> None: ...

    @worker.task("open")
    def opened(email: OpenEmail) -> None: ...

    @worker.task("extras")
    def extras(image: str, **size: Unpack[Size]) -> None: ...

    partial: Any = worker.task("partial")(functools.partial(send.function))

    # Nothing is enqueued yet: each of these would pass, whatever the name is.
    for check in (jobs.assert_not_enqueued, jobs.assert_enqueued, jobs.enqueued):
        with pytest.raises(TypeError, match="'wdith' is not an argument of task 'thumbnails'; did"):
            check(make, wdith=100)
        with pytest.raises(TypeError, match="'cc' is not an argument of task 'emails'; it has at"):
            check(send, cc="bob")
        with pytest.raises(TypeError, match="'bcc' is not an argument of task 'partial'; it has"):
            check(partial, bcc="bob")
        with pytest.raises(TypeError, match="'cc' is not an argument of task 'extras'; it has ima"):
            check(extras, cc=1)
        with pytest.raises(TypeError, match="'context' is not an argument of task 'thumbnails'"):
            check(make, context=ANY)
        for target in (make.function, make.options(priority="high"), 5):
            with pytest.raises(TypeError, match=r"is not a task; pass the task that @worker\.task"):
                check(target)  # type: ignore[arg-type]
    jobs.assert_not_enqueued(make, width=100)
    jobs.assert_not_enqueued(anything, x=1)
    jobs.assert_not_enqueued(opened, x=1, From="bob", sender="bob")
    jobs.assert_not_enqueued("emails", too="ada")  # no job tells the names
    client.enqueue("emails", {"to": "ada"})
    client.enqueue("sums", [1, 2])
    jobs.assert_not_enqueued("emails", to="bob")
    jobs.assert_not_enqueued("sums", to="ada")
    with pytest.raises(TypeError, match="'too' is not an argument of a job of 'emails'; did you"):
        jobs.assert_not_enqueued("emails", too="ada")
    with pytest.raises(TypeError, match="'cc' is not an argument of any recorded job; it has to"):
        jobs.assert_not_enqueued(cc="ada")


# Draining


def test_drain_runs_jobs_and_the_jobs_that_they_enqueue(
    jobs: RecordedJobs, client: Client, worker: Worker
) -> None:
    order: list[Any] = []

    @worker.task("first")
    async def first(context: Context, n: int) -> dict[str, int]:
        order.append(n)
        context.checkpoint({"n": n})
        context.progress(1, 2, "half")
        await second.aenqueue(n)
        return {"n": n}

    @worker.task("second")
    def second(n: int) -> None:
        order.append(("second", n, current_job().attempt))

    client.enqueue("first", {"n": 1})
    client.enqueue("first", {"n": 2}, priority="critical")
    client.enqueue("elsewhere")
    drained = jobs.drain(worker)
    assert drained == Drained(attempts=4, completed=4)
    assert order == [2, 1, ("second", 2, 1), ("second", 1, 1)]
    job = jobs.all[0]
    assert (job.state, job.attempt, job.result) == ("completed", 1, {"n": 1})
    assert job.checkpoint == {"n": 1}
    assert job.progress is not None
    assert job.progress.message == "half"
    assert job.completed_at == jobs.now
    assert states(jobs)[2] == "pending"


async def test_drain_follows_retries_by_moving_the_time(jobs: RecordedJobs, worker: Worker) -> None:
    seen: list[tuple[int, Any, float]] = []
    began = jobs.now

    @worker.task("q", max_retries=4, retry_base_delay="10s")
    async def flaky(context: Context, end: str) -> str:
        passed = (jobs.now - began).total_seconds()
        seen.append((context.attempt, context.last_checkpoint, passed))
        context.checkpoint(context.attempt)
        if context.attempt == 1:
            raise ValueError("first")
        if context.attempt == 2:
            raise Retry("second")
        if end == "dead":
            raise RuntimeError("for good")
        return "done"

    await flaky.aenqueue("well")
    assert await jobs.drain_async(worker) == Drained(attempts=3, completed=1)
    assert seen == [(1, None, 0), (2, 1, 10), (3, 2, 30)]
    await flaky.aenqueue("dead")
    assert await jobs.drain_async(worker) == Drained(attempts=4, dead=1)
    dead = jobs.all[1]
    assert [error.error for error in dead.errors] == [
        "ValueError: first",
        "second",
        "RuntimeError: for good",
        "RuntimeError: for good",
    ]
    assert "for good" in str(dead.errors[2].backtrace)


def test_drain_stops_at_its_time_limit(jobs: RecordedJobs, client: Client, worker: Worker) -> None:
    @worker.task("q")
    async def task() -> None: ...

    for delay in (0, 60, 3600):
        client.enqueue("q", delay=delay)
    assert jobs.drain(worker, within=0).attempts == 1
    assert jobs.drain(worker, within="1m").attempts == 1
    assert states(jobs) == ["completed", "completed", "scheduled"]
    assert jobs.drain(worker, queue="q").attempts == 1
    with pytest.raises(ValueError, match="no task for queue other"):
        jobs.drain(worker, queue="other")


def test_snoozes_cancels_and_expiries(jobs: RecordedJobs, client: Client, worker: Worker) -> None:
    runs: list[int] = []

    @worker.task("q")
    async def task(context: Context, do: str) -> Any:
        runs.append(context.attempt)
        if do == "cancel":
            return Cancel("not wanted")
        if len(runs) < 3:
            return Snooze(3600)
        return None

    client.enqueue("q", {"do": "snooze"})
    assert jobs.drain(worker) == Drained(attempts=3, completed=1)
    assert runs == [1, 1, 1]
    client.enqueue("q", {"do": "cancel"})
    assert jobs.drain(worker) == Drained(attempts=1, cancelled=1)
    assert jobs.all[-1].errors[0].error == "not wanted"
    client.enqueue("q", {"do": "late"}, delay=60, expire_after="10s")
    assert jobs.drain(worker) == Drained(attempts=0, dead=1)
    assert jobs.all[-1].errors[0].error == "expired"


def test_jobs_expire_during_an_attempt(jobs: RecordedJobs, client: Client, worker: Worker) -> None:
    @worker.task("q")
    async def task(do: str) -> Any:
        jobs.forward(20)
        if do == "fail":
            raise ValueError("no")
        return Snooze(0)

    client.enqueue("q", {"do": "fail"}, expire_after="10s")
    client.enqueue("q", {"do": "snooze"}, expire_after="30s")
    assert jobs.drain(worker) == Drained(attempts=2, dead=2)
    assert [job.errors[0].error for job in jobs.all] == ["expired: ValueError: no", "expired"]


def test_drain_raises_the_error_of_a_handler(
    jobs: RecordedJobs, client: Client, worker: Worker
) -> None:
    @worker.task("q", max_retries=1)
    def task(n: int) -> Any:
        if n == 0:
            return Cancel()
        if n == 1:
            return object()
        raise KeyError(n)

    client.enqueue("q", {"n": 0})
    client.enqueue("q", {"n": 2}, max_retries=1)
    with pytest.raises(KeyError, match="2"):
        jobs.drain(worker, raise_errors=True)
    client.enqueue("q", {"n": 1})
    with pytest.raises(AssertionError, match="the result cannot be written"):
        jobs.drain(worker, raise_errors=True)
    assert states(jobs) == ["cancelled", "dead", "dead"]


def test_drain_has_a_maximum_of_attempts(
    jobs: RecordedJobs, client: Client, worker: Worker
) -> None:
    @worker.task("q")
    async def task() -> Snooze:
        return Snooze(0)

    client.enqueue("q")
    with pytest.raises(NeverEmpty, match="after 50 attempts; the next job has queue 'q'"):
        jobs.drain(worker, max_attempts=50)


async def test_drain_rejects_an_event_loop_and_a_nested_drain(
    jobs: RecordedJobs, worker: Worker
) -> None:
    @worker.task("q")
    async def task() -> None:
        await jobs.drain_async(worker)

    with pytest.raises(RuntimeError, match=r"await jobs\.drain_async"):
        jobs.drain(worker)
    await task.aenqueue()
    with pytest.raises(RuntimeError, match="a drain is already running"):
        await jobs.drain_async(worker, raise_errors=True)


async def test_a_running_job_can_be_cancelled(jobs: RecordedJobs, worker: Worker) -> None:
    async with AsyncClient() as client:

        @worker.task("q")
        async def task(context: Context) -> None:
            assert (await client.cancel_job(context.id)).status == "cancelling"
            await asyncio.sleep(60)

        @worker.task("plain")
        def plain(context: Context) -> Any:
            with Client() as own:
                own.cancel_job(context.id)
            return Snooze(0) if context.cancelled else None

        await task.aenqueue()
        await plain.aenqueue()
        waiting = await client.enqueue("elsewhere")
        assert (await client.cancel_job(waiting.job_id)).status == "cancelled"
        with pytest.raises(InvalidState, match="is cancelled; only a pending"):
            await client.cancel_job(waiting.job_id)
        assert await jobs.drain_async(worker) == Drained(attempts=2, cancelled=2)


async def test_a_drain_that_is_cancelled_interrupts_its_handler(
    jobs: RecordedJobs, worker: Worker
) -> None:
    ended = asyncio.Event()

    @worker.task("q")
    async def task() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    await task.aenqueue()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await jobs.drain_async(worker)
    await asyncio.wait_for(ended.wait(), 60)


def test_middleware_and_lifespan_apply_to_a_drain(jobs: RecordedJobs) -> None:
    @asynccontextmanager
    async def lifespan(_worker: Worker) -> AsyncIterator[str]:
        yield "state"

    worker = Worker(lifespan=lifespan)

    @worker.use
    async def tag(context: Context, call_next: CallNext) -> Any:
        return [context.state, await call_next()]

    task = worker.task("q", executor="process")(in_a_process)
    assert callable(tag)
    assert task.executor == "process"
    task.enqueue()
    jobs.drain(worker)
    assert jobs.all[0].result == ["state", "state in a thread"]


# Unique keys and batches


def test_unique_keys_last_until_the_job_has_finished(
    jobs: RecordedJobs, client: Client, worker: Worker
) -> None:
    @worker.task("q")
    async def task(n: int = 0) -> None: ...

    first = client.enqueue("q", {"n": 1}, unique_key="k")
    again = client.enqueue("q", {"n": 2}, unique_key="k")
    assert (again.job_id, again.status, again.unique_existing) == (first.job_id, "duplicate", True)
    assert client.enqueue("other", unique_key="k").status == "pending"
    with pytest.raises(InvalidState, match="Nothing was enqueued"):
        client.enqueue_batch(
            [{"queue": "q"}, {"queue": "q", "unique_key": "k", "on_conflict": "error"}]
        )
    assert len(jobs.all) == 2
    later = client.enqueue("q", {"n": 3}, unique_key="k", delay=60, on_conflict="reschedule")
    assert later.status == "rescheduled"
    assert (jobs.all[0].state, jobs.all[0].payload) == ("scheduled", {"n": 1})
    replaced = client.enqueue("q", {"n": 4}, unique_key="k", tags={"a": "b"}, on_conflict="replace")
    assert replaced.status == "replaced"
    assert (jobs.all[0].state, jobs.all[0].payload) == ("pending", {"n": 4})
    assert jobs.all[0].tags == {"a": "b"}
    jobs.drain(worker)
    assert client.enqueue("q", unique_key="k", unique_period=60).status == "pending"
    jobs.forward(61)
    assert client.enqueue("q", unique_key="k").status == "pending"


def test_an_active_job_is_not_replaced(jobs: RecordedJobs, worker: Worker) -> None:
    statuses: list[str] = []

    @worker.task("q")
    async def task() -> None:
        again = await task.options(unique_key="k", on_conflict="replace").aenqueue()
        statuses.append(again.status)

    task.options(unique_key="k").enqueue()
    jobs.drain(worker)
    assert statuses == ["duplicate"]


def test_an_enqueue_can_be_repeated(jobs: RecordedJobs, client: Client) -> None:
    batch = BatchOptions(callback_queue="done")
    job_id = "job_01ARZ3NDEKTSV4RRFFQ69G5FAV"
    one = {"queue": "q", "job_id": job_id, "unique_key": "k", "on_conflict": "error"}
    first = client.enqueue_batch([one], batch=batch)  # type: ignore[list-item]
    again = client.enqueue_batch([one], batch=batch)  # type: ignore[list-item]
    assert again.batch_id == first.batch_id
    assert again.results[0].status == "pending"
    assert len(jobs.all) == 1


def test_an_enqueue_of_another_job_with_a_known_id_is_refused(
    jobs: RecordedJobs, client: Client
) -> None:
    first = client.enqueue("q", {"n": 1}, unique_key="k")
    for queue, payload, words in (
        ("other", {"n": 1}, ["pending in queue q", "the queue other"]),
        ("q", {"n": 2}, ["another payload"]),
        ("q", {"n": 1.0}, ["another payload"]),
        ("other", None, ["the queue other and another payload"]),
    ):
        with pytest.raises(InvalidState) as caught:
            client.enqueue(queue, payload, job_id=first.job_id)
        assert all(word in str(caught.value) for word in (first.job_id, *words))
    one = {"queue": "q", "job_id": "job_01ARZ3NDEKTSV4RRFFQ69G5FAV"}
    with pytest.raises(InvalidState):
        client.enqueue_batch([one, {**one, "payload": 2}])  # type: ignore[list-item]
    assert len(jobs.all) == 1
    client.enqueue("q", {"n": 2}, unique_key="k", on_conflict="replace")
    assert client.enqueue("q", {"n": 1}, job_id=first.job_id).job_id == first.job_id
    assert len(jobs.all) == 1


def test_a_batch_enqueues_its_callback_after_its_last_job(
    jobs: RecordedJobs, client: Client, worker: Worker
) -> None:
    @worker.task("pages", max_retries=1)
    async def page(n: int) -> None:
        if n == 1:
            raise ValueError(n)

    reply = client.enqueue_batch(
        [{"queue": "pages", "payload": {"n": n}, "max_retries": 1} for n in range(3)],
        batch=BatchOptions(callback_queue="bind", callback_payload={"book": 42}),
    )
    client.cancel_job(reply.job_ids[2])
    batch = client.get_batch(reply.batch_id or "")
    assert (batch.state, batch.total, batch.pending) == ("running", 3, 2)
    jobs.drain(worker)
    batch = client.get_batch(reply.batch_id or "")
    callback = jobs.assert_enqueued("bind")
    assert (batch.state, batch.callback_job_id) == ("finished", callback.id)
    assert callback.payload == {
        "batch_id": reply.batch_id,
        "total": 3,
        "succeeded": 1,
        "failed": 1,
        "cancelled": 1,
        "payload": {"book": 42},
    }


def test_a_batch_of_duplicates_enqueues_its_callback_at_once(
    jobs: RecordedJobs, client: Client
) -> None:
    client.enqueue("q", unique_key="k")
    client.enqueue_batch(
        [{"queue": "q", "unique_key": "k"}, {"queue": "q", "unique_key": "k"}],
        batch=BatchOptions(callback_queue="done"),
    )
    assert jobs.assert_enqueued("done").payload["total"] == 0


def test_two_jobs_with_one_key_in_a_batch_are_one_job(jobs: RecordedJobs, client: Client) -> None:
    reply = client.enqueue_batch(
        [
            {"queue": "q", "payload": n, "unique_key": "k", "on_conflict": "replace"}
            for n in range(2)
        ]
    )
    assert [result.status for result in reply.results] == ["pending", "duplicate"]
    assert jobs.all[0].payload == 0


# Inline


def test_inline_runs_jobs_during_the_enqueue(jobs: RecordedJobs, worker: Worker) -> None:
    order: list[Any] = []

    @worker.task("first")
    def first(n: int) -> None:
        second.enqueue(n)
        order.append("first")

    other = Worker()

    @other.task("second")
    async def second(n: int) -> None:
        order.append(("second", n))

    with jobs.inline(worker, other):
        first.options(delay=3600).enqueue(1)
        assert order == ["first", ("second", 1)]
    first.enqueue(2)
    assert states(jobs) == ["completed", "completed", "pending"]


async def test_inline_in_coroutines_and_in_blocking_calls_inside_them(
    jobs: RecordedJobs, worker: Worker
) -> None:
    @worker.task("q", max_retries=2)
    async def task(n: int) -> int:
        if n < 0:
            raise ValueError(n)
        return n

    with jobs.inline(worker):
        await task.aenqueue(1)
        task.enqueue(2)
        with pytest.raises(ValueError, match="-1"):
            await task.aenqueue(-1)
        with pytest.raises(ValueError, match="-2"):
            task.enqueue(-2)
    with jobs.inline(worker, raise_errors=False):
        await task.aenqueue(-3)
    assert [job.result for job in jobs.all[:2]] == [1, 2]
    # The first error ended the inline run. The last enqueue also ran the remaining attempts.
    assert states(jobs)[2:] == ["dead", "dead", "dead"]


def test_recorded_job_equals_the_job_of_a_client(jobs: RecordedJobs, client: Client) -> None:
    client.enqueue("q")
    assert isinstance(jobs.all[0], Job)


STARTED = """
from corvo_client import Client
Client({url!r}).enqueue("q")
"""
FORKED = """
import os
from corvo_client import Client
from corvo_client.testing import recording
with recording():
    if (child := os.fork()) == 0:
        Client({url!r}).enqueue("q")
        os._exit(0)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize("program", [STARTED, FORKED])
def test_processes_that_a_recording_test_starts_reach_no_server(
    jobs: RecordedJobs, program: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        command = [sys.executable, "-c", program.format(url=url)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert ended.returncode == 1, "the enqueue has not failed"
        assert "NotRecorded: this process was started by a test that records" in ended.stderr
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert jobs.all == []
