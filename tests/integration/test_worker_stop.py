"""The stop of a worker: it finishes jobs within its grace period and releases the others."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

from corvo_client.worker import Context, Worker
from server_support.waiting import PATIENCE, wait_until
from support.api_client import ApiClient
from support.server import CorvoServer
from support.workers import WorkerProcess

SIGNALS = [signal.SIGTERM, signal.SIGINT]


@pytest.fixture
def processes() -> Iterator[list[WorkerProcess]]:
    """Worker processes. They are ended with the test."""
    started: list[WorkerProcess] = []
    yield started
    for process in started:
        process.close()


async def test_a_stop_waits_for_handlers_and_fetches_no_more(
    server: CorvoServer, api: ApiClient, queue: str
) -> None:
    worker = Worker(server.url, concurrency=2)
    may_end = asyncio.Event()
    started: list[str] = []

    @worker.task(queue)
    async def handle(context: Context) -> str:
        started.append(context.id)
        await may_end.wait()
        return "finished"

    ids = [await api.enqueue(queue) for _ in range(4)]
    async with worker:
        # Jobs are active before the worker has the reply to its fetch, so wait for the handlers.
        await wait_until(lambda: len(started) == 2, "two handlers have begun")
        worker.stop()
        late = await api.enqueue(queue)
        may_end.set()
    states = [await api.state(job_id) for job_id in [*ids, late]]
    assert states == ["completed", "completed", "pending", "pending", "pending"]
    assert started == ids[:2]
    assert {(await api.job(job_id))["attempt"] for job_id in [*ids[2:], late]} == {0}


async def test_an_interrupted_job_is_released_with_its_checkpoint(
    server: CorvoServer, api: ApiClient, queue: str
) -> None:
    worker = Worker(server.url, grace_period=0)
    has_begun = asyncio.Event()

    @worker.task(queue)
    async def handle(context: Context) -> None:
        context.checkpoint({"page": 4})
        has_begun.set()
        await asyncio.Event().wait()

    job_id = await api.enqueue(queue, max_retries=1)
    async with worker:
        await asyncio.wait_for(has_begun.wait(), PATIENCE)
    again = await api.fetch(queue)  # at once, before the lease expires
    assert (again["job_id"], again["attempt"]) == (job_id, 1)
    assert again["checkpoint"] == {"page": 4}
    assert (await api.job(job_id))["errors"] == []
    assert "released" in await api.events_of(job_id)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("behaviour", ["wait", "stick"])
async def test_a_worker_process_releases_its_jobs_and_exits_with_0(
    server: CorvoServer,
    api: ApiClient,
    queue: str,
    processes: list[WorkerProcess],
    behaviour: str,
    number: signal.Signals,
) -> None:
    """The process releases its jobs and ends also if a handler ignores the cancel."""
    job_id = await api.enqueue(queue, max_retries=1)
    process = WorkerProcess(server.url, queue, behaviour, grace_period=0)
    processes.append(process)
    assert await asyncio.to_thread(process.see, "started", job_id) == 1
    process.signal(number)
    assert await asyncio.to_thread(process.wait) == 0
    assert "Traceback" not in process.output
    again = await api.fetch(queue)
    assert (again["job_id"], again["attempt"], again["checkpoint"]) == (job_id, 1, {"row": 7})


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_second_signal_ends_the_process_at_once(
    server: CorvoServer,
    api: ApiClient,
    queue: str,
    processes: list[WorkerProcess],
    number: signal.Signals,
) -> None:
    job_id = await api.enqueue(queue)
    process = WorkerProcess(server.url, queue, "wait", grace_period=3600)
    processes.append(process)
    await asyncio.to_thread(process.see, "started", job_id)
    process.signal(signal.SIGTERM)
    await asyncio.to_thread(process.wait_for_line, lambda line: "stopping" in line, "stopping")
    process.signal(number)
    assert await asyncio.to_thread(process.wait) == 128 + number
    # The job was not released, so it becomes pending when its lease expires.
    job = await api.see_state(job_id, "pending")
    assert job["errors"][0]["error"].startswith("lease expired")


async def test_an_idle_worker_stops_at_once(
    server: CorvoServer, api: ApiClient, queue: str, processes: list[WorkerProcess]
) -> None:
    process = WorkerProcess(server.url, queue, "finish")
    processes.append(process)
    job_id = await api.enqueue(queue)
    await api.see_state(job_id, "completed")
    await api.see_waiting(1)
    assert await asyncio.to_thread(process.stop) == 0
    await api.see_waiting(0)
    await api.enqueue(queue)
    assert (await api.fetch(queue))["attempt"] == 1
