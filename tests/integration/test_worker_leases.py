"""Leases of workers: heartbeats, lost leases, and workers and servers that die."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from corvo_client.worker import Context, Interruption, Worker
from server_support.waiting import wait_until
from support.api_client import API, ApiClient
from support.server import CorvoServer, StartServer
from support.workers import WorkerProcess

JOBS = 300


@pytest.fixture
def processes() -> Iterator[list[WorkerProcess]]:
    """Worker processes. They are ended with the test."""
    started: list[WorkerProcess] = []
    yield started
    for process in started:
        process.close()


async def test_progress_and_checkpoints_are_visible_while_the_job_is_active(
    server: CorvoServer, api: ApiClient, queue: str
) -> None:
    worker = Worker(server.url)
    may_go_on = asyncio.Event()

    @worker.task(queue)
    async def handle(context: Context) -> None:
        assert context.last_checkpoint is None
        context.progress(3, 10, "third page")
        context.checkpoint({"page": 3})
        await may_go_on.wait()

    job_id = await api.enqueue(queue)

    async def is_told() -> bool:
        job = await api.job(job_id)
        return bool(job["progress"] and job["checkpoint"])

    async with worker:
        await wait_until(is_told)
        job = await api.job(job_id)
        assert job["progress"] == {"current": 3, "total": 10, "message": "third page"}
        assert job["checkpoint"] == {"page": 3}
        assert job["state"] == "active"
        may_go_on.set()
        await api.see_state(job_id, "completed")


async def test_the_next_attempt_continues_from_the_checkpoint(
    server: CorvoServer, api: ApiClient, queue: str
) -> None:
    worker = Worker(server.url)

    @worker.task(queue)
    def handle(context: Context) -> list[int]:
        done: list[int] = context.last_checkpoint or []
        for page in range(len(done), 3):
            done.append(page)
            context.checkpoint(done)
            if page == context.attempt:
                raise ConnectionError(f"page {page}")
        return [*done, context.attempt]

    job_id = await api.enqueue(queue, retry_backoff="none", max_retries=5)
    async with worker:
        job = await api.see_state(job_id, "completed", "dead")
    assert job["result"] == [0, 1, 2, 3]
    assert [error["error"][-6:] for error in job["errors"]] == ["page 1", "page 2"]


async def test_an_async_handler_is_stopped_when_its_job_is_cancelled(
    server: CorvoServer, api: ApiClient, queue: str
) -> None:
    worker = Worker(server.url, lease_duration=3)
    started = asyncio.Event()
    seen: list[Interruption | None] = []

    @worker.task(queue)
    async def handle(context: Context) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            seen.append(context.interruption)

    job_id = await api.enqueue(queue)
    async with worker:
        await asyncio.wait_for(started.wait(), 20)
        assert await api.post(f"/jobs/{job_id}/cancel") == {"status": "cancelling"}
        await api.see_state(job_id, "cancelled")
    assert seen == [Interruption.CANCELLED]


async def test_a_plain_handler_sees_that_its_job_is_cancelled(
    server: CorvoServer, api: ApiClient, queue: str
) -> None:
    worker = Worker(server.url, lease_duration=3)

    @worker.task(queue)
    def handle(context: Context) -> None:
        context.progress(message="running")
        while True:
            context.raise_if_cancelled()
            time.sleep(0.01)

    job_id = await api.enqueue(queue)
    async with worker:
        await api.see_state(job_id, "active")
        await api.post(f"/jobs/{job_id}/cancel")
        await api.see_state(job_id, "cancelled")


async def test_a_handler_that_blocks_the_event_loop_keeps_its_lease(
    server: CorvoServer, queue: str
) -> None:
    """The handler blocks for longer than the lease, while another worker waits for the job."""
    worker = Worker(server.url, lease_duration=3)

    @worker.task(queue)
    async def block(context: Context) -> str:
        first_end = context.deadline
        while datetime.now(UTC) < first_end + timedelta(seconds=1.5):
            time.sleep(0.05)  # noqa: ASYNC251 - blocks the event loop on purpose
        return "done"

    async with ApiClient(server.url) as api:
        job_id = await api.enqueue(queue)
        rival: asyncio.Task[httpx.Response] | None = None
        async with worker:
            await api.see_state(job_id, "active", "completed")
            rival = asyncio.create_task(_fetch_in_thread(server.url, queue))
            job = await api.see_state(job_id, "completed", "dead", "pending")
        assert (job["state"], job["attempt"], job["result"]) == ("completed", 1, "done")
        assert await api.events_of(job_id) == ["enqueued", "started", "completed"]
        assert (await rival).status_code == 204


async def test_the_job_of_a_killed_worker_is_finished_by_another(
    server: CorvoServer, api: ApiClient, queue: str, processes: list[WorkerProcess]
) -> None:
    job_id = await api.enqueue(queue)
    victim = WorkerProcess(server.url, queue, "wait")
    processes.append(victim)
    await asyncio.to_thread(victim.see, "started", job_id)

    async def has_checkpoint() -> bool:
        return bool((await api.job(job_id))["checkpoint"] == {"row": 7})

    await wait_until(has_checkpoint)
    victim.kill()

    processes.append(WorkerProcess(server.url, queue, "finish"))
    job = await api.see_state(job_id, "completed")
    assert (job["attempt"], job["result"]) == (2, "finished")
    assert job["checkpoint"] == {"row": 7}
    (error,) = job["errors"]
    assert error["error"].startswith("lease expired")


async def test_a_worker_that_was_suspended_too_long_cannot_finish_its_job(
    server: CorvoServer, api: ApiClient, queue: str, processes: list[WorkerProcess]
) -> None:
    """The worker is suspended, another worker gets its job, and the first one resumes."""
    job_id = await api.enqueue(queue)
    frozen = WorkerProcess(server.url, queue, "wait")
    processes.append(frozen)
    await asyncio.to_thread(frozen.see, "started", job_id)
    frozen.signal(signal.SIGSTOP)
    taken = await api.fetch(queue, timeout=30, lease_duration=60, worker_id="other")
    assert (taken["job_id"], taken["attempt"]) == (job_id, 2)

    frozen.signal(signal.SIGCONT)
    await asyncio.to_thread(frozen.see, "interrupted", job_id)
    assert frozen.stop() == 0
    job = await api.job(job_id)
    assert (job["state"], job["worker_id"]) == ("active", "other")
    await api.ack(taken, result="the other's")
    assert (await api.job(job_id))["result"] == "the other's"


async def test_a_restart_of_the_server_costs_no_attempt(
    start_server: StartServer,
) -> None:
    server = start_server()
    runs, failed = await _work_through(server, server.stop, lease_duration=60)
    assert set(runs.values()) == {1}
    assert failed == 0


async def test_a_kill_of_the_server_loses_no_job(
    start_server: StartServer,
) -> None:
    """A job whose fetch got no response is fetched again after its lease expires."""
    server = start_server()
    runs, failed = await _work_through(server, server.kill, lease_duration=3)
    assert sum(runs.values()) - JOBS <= failed


async def _work_through(
    server: CorvoServer, stop: Callable[[], object], *, lease_duration: float
) -> tuple[Counter[str], int]:
    """Process jobs while the server restarts twice. Return runs by job, and expired leases."""
    runs: Counter[str] = Counter()
    worker = Worker(server.url, concurrency=10, lease_duration=lease_duration, poll_timeout=5)

    @worker.task("q")
    async def handle(context: Context, n: int) -> int:
        runs[context.id] += 1
        await asyncio.sleep(0.01)
        return n

    async with ApiClient(server.url) as api:
        jobs = [{"queue": "q", "payload": {"n": n}} for n in range(JOBS)]
        ids = (await api.post("/enqueue/batch", {"jobs": jobs}))["job_ids"]
    async with worker:
        for share in (JOBS // 4, JOBS // 2):
            await _see_runs(runs, share)
            await asyncio.to_thread(stop)
            await asyncio.to_thread(server.restart)
        async with ApiClient(server.url) as api:
            for job_id in ids:
                await api.see_state(job_id, "completed")
    async with ApiClient(server.url) as api:
        for n, job_id in enumerate(ids):
            job = await api.job(job_id)
            assert job["result"] == n
            events = [event["type"] for event in job["timeline"]]
            assert events.count("completed") == 1
        queue = await api.queue("q")
    assert queue["completed"] == JOBS
    return runs, queue["failed"]


async def _see_runs(runs: Counter[str], jobs: int) -> None:
    await wait_until(lambda: len(runs) >= jobs, f"{jobs} jobs have begun")


async def _fetch_in_thread(url: str, queue: str) -> httpx.Response:
    body = {"queues": [queue], "worker_id": "rival", "timeout": 3}
    return await asyncio.to_thread(
        httpx.post, f"{url}{API}/fetch", json=body, timeout=30, trust_env=False
    )
