"""A worker on a real server: arguments of handlers, and the outcomes of their jobs."""

import asyncio
import threading
from collections import Counter
from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel

from corvo_client import AsyncClient, BatchOptions, Job, JobState
from corvo_client.worker import Cancel, Context, Retry, Snooze, Worker, current_job
from corvo_schema import MAX_NESTING
from server_support.waiting import wait_until
from support.api_client import ApiClient, new_name
from support.server import CorvoServer
from support.worker_program import be_stuck

FINISHED = (JobState.COMPLETED, JobState.DEAD, JobState.CANCELLED)


class Invoice(BaseModel):
    number: int
    due: date


@pytest.fixture
def worker(server: CorvoServer) -> Worker:
    return Worker(server.url, concurrency=5, lease_duration=5)


async def run(worker: Worker, api: ApiClient, *job_ids: str) -> list[Job]:
    """Run the worker until these jobs have ended. Return the jobs."""
    async with worker:
        return [Job.model_validate(await api.see_state(job_id, *FINISHED)) for job_id in job_ids]


async def test_async_and_plain_handlers_get_keyword_arguments(
    api: ApiClient, worker: Worker, queue: str
) -> None:
    plain = new_name()

    @worker.task(queue)
    async def add(a: int, b: int = 10) -> int:
        return a + b

    @worker.task(plain)
    def multiply(a: int, b: int = 10) -> dict[str, int]:
        assert threading.current_thread() is not threading.main_thread()
        return {"product": a * b}

    ids = [
        await api.enqueue(queue, {"a": 1, "b": 2}),
        await api.enqueue(queue, {"a": 1}),
        await api.enqueue(plain, {"a": 3, "b": 4}),
    ]
    jobs = await run(worker, api, *ids)
    assert [job.state for job in jobs] == ["completed"] * 3
    assert [job.result for job in jobs] == [3, 11, {"product": 12}]
    assert {job.worker_id for job in jobs} == {worker.id}


async def test_a_model_receives_the_whole_payload(
    api: ApiClient, worker: Worker, queue: str
) -> None:
    @worker.task(queue)
    async def bill(invoice: Invoice) -> Invoice:
        assert isinstance(invoice.due, date)
        return Invoice(number=invoice.number + 1, due=invoice.due)

    (job,) = await run(worker, api, await api.enqueue(queue, {"number": 7, "due": "2026-01-31"}))
    assert job.result == {"number": 8, "due": "2026-01-31"}


@pytest.mark.parametrize(
    ("payload", "named"),
    [({"number": "x", "due": "2026-01-31"}, "number"), ({"number": 1}, "due"), ([1], "payload")],
)
async def test_a_payload_that_does_not_fit_is_retried_until_its_attempts_are_used_up(
    api: ApiClient, worker: Worker, queue: str, payload: Any, named: str
) -> None:
    @worker.task(queue)
    async def bill(invoice: Invoice) -> None:
        raise AssertionError(invoice)

    options = {"max_retries": 3, "retry_backoff": "none"}
    (job,) = await run(worker, api, await api.enqueue(queue, payload, **options))
    assert (job.state, job.attempt) == (JobState.DEAD, 3)
    for error in job.errors:
        assert error.error.startswith("invalid payload: ")
        assert named in error.error
        assert "another release has enqueued this job" in error.error


async def test_a_task_is_enqueued_by_its_method(api: ApiClient, worker: Worker, queue: str) -> None:
    @worker.task(queue, max_retries=9, tags={"kind": "bill"})
    async def bill(invoice: Invoice, *, copies: int = 1) -> int:
        return invoice.number * copies

    @worker.task(f"{queue}.plain")
    def pair(left: int, right: int) -> list[int]:
        return [left, right]

    invoice = Invoice(number=7, due=date(2026, 1, 31))
    first = await bill.aenqueue(invoice, copies=2)
    second = await asyncio.to_thread(pair.enqueue, 1, right=2)
    third = await bill.options(priority="critical", max_retries=1).aenqueue(invoice)
    jobs = await run(worker, api, first.job_id, second.job_id, third.job_id)
    assert [job.result for job in jobs] == [14, [1, 2], 7]
    assert [job.max_retries for job in jobs] == [9, 3, 1]
    assert jobs[0].tags == {"kind": "bill"}
    assert await bill(invoice) == 7  # it is still a function


async def test_a_handler_can_enqueue_more(api: ApiClient, worker: Worker, queue: str) -> None:
    @worker.task(queue)
    async def split(parts: int) -> list[str]:
        return [(await part.aenqueue(i)).job_id for i in range(parts)]

    @worker.task(f"{queue}.part")
    def part(number: int) -> int:
        return number * number

    job_id = await api.enqueue(queue, {"parts": 3})
    async with worker:
        parts = (await api.see_state(job_id, "completed"))["result"]
        results = [(await api.see_state(p, "completed"))["result"] for p in parts]
    assert results == [0, 1, 4]


async def test_a_failed_handler_is_retried(api: ApiClient, worker: Worker, queue: str) -> None:
    @worker.task(queue)
    async def flaky(context: Context, name: str) -> str:
        if context.attempt < 3:
            raise ConnectionError(f"no route to {name}")
        return "through at last"

    job_id = await api.enqueue(queue, {"name": "host"}, retry_backoff="none")
    (job,) = await run(worker, api, job_id)
    assert (job.state, job.attempt, job.result) == (JobState.COMPLETED, 3, "through at last")
    assert [error.error for error in job.errors] == ["ConnectionError: no route to host"] * 2
    assert "in flaky" in (job.errors[0].backtrace or "")


@pytest.mark.parametrize("is_raised", [True, False])
@pytest.mark.parametrize("is_async", [True, False])
async def test_outcomes_can_be_raised_or_returned(
    api: ApiClient, worker: Worker, queue: str, *, is_raised: bool, is_async: bool
) -> None:
    def decide(kind: str, attempt: int, runs: int) -> Any:
        outcome: Exception
        if kind == "snooze" and runs == 1:
            outcome = Snooze(0.05)
        elif kind == "cancel":
            outcome = Cancel("not needed any more")
        elif kind == "retry" and attempt == 1:
            outcome = Retry("once more")
        else:
            return "done"
        if is_raised:
            raise outcome
        return outcome

    runs: Counter[str] = Counter()

    def note(kind: str) -> Any:
        runs[kind] += 1
        return decide(kind, current_job().attempt, runs[kind])

    if is_async:

        @worker.task(queue)
        async def handle(kind: str) -> Any:
            return note(kind)
    else:

        @worker.task(queue)
        def handle(kind: str) -> Any:
            return note(kind)

    ids = [
        await api.enqueue(queue, {"kind": kind}, retry_backoff="none", max_retries=2)
        for kind in ("snooze", "cancel", "retry")
    ]
    snoozed, cancelled, retried = await run(worker, api, *ids)
    assert (snoozed.state, snoozed.attempt, snoozed.errors) == (JobState.COMPLETED, 1, [])
    assert runs["snooze"] == 2
    assert (cancelled.state, cancelled.errors[0].error) == (
        JobState.CANCELLED,
        "not needed any more",
    )
    assert (retried.state, retried.attempt) == (JobState.COMPLETED, 2)
    assert [error.error for error in retried.errors] == ["once more"]


async def test_the_concurrency_limits_running_handlers(
    api: ApiClient, server: CorvoServer, queue: str
) -> None:
    worker = Worker(server.url, concurrency=4)
    running: set[str] = set()
    max_running = 0
    all_there = asyncio.Barrier(4)

    @worker.task(queue)
    async def meet(context: Context) -> None:
        nonlocal max_running
        running.add(context.id)
        max_running = max(max_running, len(running))
        await all_there.wait()
        running.discard(context.id)

    jobs = [{"queue": queue} for _ in range(40)]
    ids = (await api.post("/enqueue/batch", {"jobs": jobs}))["job_ids"]
    await asyncio.wait_for(run(worker, api, *ids), 60)
    assert max_running == 4


@pytest.mark.parametrize("is_async", [True, False])
async def test_each_of_many_short_jobs_runs_once(
    api: ApiClient, server: CorvoServer, queue: str, *, is_async: bool
) -> None:
    worker = Worker(server.url, concurrency=50)
    runs: Counter[str] = Counter()

    if is_async:

        @worker.task(queue)
        async def handle(context: Context, n: int) -> int:
            runs[context.id] += 1
            return n
    else:

        @worker.task(queue)
        def handle(context: Context, n: int) -> int:
            runs[context.id] += 1
            return n

    jobs = [{"queue": queue, "payload": {"n": n}} for n in range(2000)]
    ids = (await api.post("/enqueue/batch", {"jobs": jobs}))["job_ids"]
    async with worker:
        await api.see_state(ids[-1], "completed")
        await see_counter(api, queue, completed=2000)
    assert set(runs.values()) == {1}
    assert set(runs) == set(ids)
    found = (await api.post("/jobs/bulk-get", {"job_ids": ids}))["jobs"]
    assert [job["result"] for job in found] == list(range(2000))
    assert {job["attempt"] for job in found} == {1}


async def test_the_worker_can_share_a_client_with_its_program(
    server: CorvoServer, api: ApiClient, queue: str
) -> None:
    async with AsyncClient(server.url) as client:
        worker = Worker(client)

        @worker.task(queue)
        async def double(n: int) -> int:
            return 2 * n

        reply = await double.aenqueue(21)
        (job,) = await run(worker, api, reply.job_id)
        assert job.result == 42
        assert (await client.get_job(reply.job_id)).result == 42  # it is still open


async def see_counter(api: ApiClient, queue: str, **counters: int) -> None:
    async def is_so() -> bool:
        found = await api.queue(queue)
        return all(found[name] == value for name, value in counters.items())

    await wait_until(is_so, f"{queue} has {counters}")


async def test_documents_of_the_most_levels_reach_the_handlers(
    api: ApiClient, worker: Worker, queue: str
) -> None:
    almost: Any = 1  # a level less than the limit
    for _ in range(MAX_NESTING - 1):
        almost = [almost]
    callbacks = new_name()
    ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    class End(BaseModel):
        payload: Any

    @worker.task(queue)
    async def wrap(document: Any) -> Any:
        current_job().checkpoint([document])
        return [document]

    @worker.task(callbacks)
    async def end(whole: End) -> None:
        ended.set_result(whole.payload)

    async with AsyncClient(api.url) as client:
        reply = await client.enqueue_batch(
            [{"queue": queue, "payload": {"document": almost}}],
            batch=BatchOptions(callback_queue=callbacks, callback_payload=almost),
        )
        async with worker:
            assert await asyncio.wait_for(ended, 60) == almost
        job = await client.get_job(reply.job_ids[0])
    assert (job.state, job.result, job.payload) == ("completed", [almost], {"document": almost})


async def test_worker_that_stopped_is_no_longer_listed(
    api: ApiClient, worker: Worker, queue: str
) -> None:
    @worker.task(queue)
    async def handler(context: Context) -> None:
        for done in range(101):
            context.progress(done, 100)
        context.checkpoint(done)

    job_id = await api.enqueue(queue)
    async with worker:
        job = await api.see_state(job_id, *FINISHED)
        assert (job["progress"], job["checkpoint"]) == ({"current": 100, "total": 100}, 100)
        assert worker.id in [each["id"] for each in await api.get("/workers")]
    assert worker.id not in [each["id"] for each in await api.get("/workers")]


async def test_worker_serves_more_queues_than_a_fetch_may_name(
    api: ApiClient, worker: Worker, queue: str
) -> None:
    names = [f"{queue}-{number}" for number in range(600)]

    async def handler() -> None: ...

    for name in names:
        worker.task(name)(handler)
    first = await api.enqueue(names[299])
    async with worker:
        await api.see_state(first, *FINISHED)
        later = [await api.enqueue(names[number]) for number in (599, 0, 0, 0, 300, 7)]
        for job_id in later:
            await api.see_state(job_id, *FINISHED)
        known = (await api.get(f"/workers/{worker.id}"))["queues"]
        assert sorted(known) == sorted(names)


async def test_worker_fetches_no_more_process_jobs_than_it_has_processes(
    server: CorvoServer, api: ApiClient, queue: str
) -> None:
    worker = Worker(server.url, concurrency=10, processes=1, grace_period=0)
    other = new_name()
    worker.task(queue, executor="process")(be_stuck)

    @worker.task(other)
    async def handler() -> None: ...

    jobs = [await api.enqueue(queue) for _ in range(3)]
    async with worker:
        await api.see_state(jobs[0], "active")
        # The worker goes on with other jobs, and would have fetched the rest by then.
        for _ in range(3):
            await api.see_state(await api.enqueue(other), *FINISHED)
        assert [(await api.job(job_id))["state"] for job_id in jobs] == [
            "active",
            "pending",
            "pending",
        ]


async def has_defaults(client: AsyncClient, queue: str) -> bool:
    """Return whether a worker has published defaults of a queue."""
    return any(info.name == queue for info in await client.list_queues()) and (
        (await client.get_queue(queue)).defaults is not None
    )


async def test_jobs_of_others_get_the_options_of_the_task(
    server: CorvoServer, client: AsyncClient, queue: str
) -> None:
    worker = Worker(server.url, poll_timeout=1)

    @worker.task(queue, max_retries=7, expire_after="1h", tags={"team": "mail"})
    def invoice(number: int) -> None: ...

    async with worker:
        await invoice.schedule("@yearly", max_retries=2).aput(4)
        await wait_until(lambda: has_defaults(client, queue))
    defaults = (await client.get_queue(queue)).defaults
    assert defaults is not None
    assert (defaults.max_retries, defaults.expire_after) == (7, 3_600_000)
    assert defaults.payload_schema is not None
    assert defaults.payload_schema["required"] == ["number"]
    other = await client.get_job((await client.enqueue(queue, {"number": 4})).job_id)
    assert (other.max_retries, other.tags) == (7, {"team": "mail"})
    assert other.expire_at is not None
    run = await client.run_schedule(queue)
    assert run.job_id is not None
    scheduled = await client.get_job(run.job_id)
    assert (scheduled.max_retries, scheduled.payload) == (2, {"number": 4})


async def test_misspelt_queue_of_a_schedule_is_a_warning(client: AsyncClient, queue: str) -> None:
    stored = await client.put_schedule(new_name(), queue=queue, cron="@yearly")
    assert stored.warnings == [
        f"There is no queue {queue!r}, and no worker serves it. Its jobs wait until a worker does."
    ]
