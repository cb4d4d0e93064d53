"""Handlers that raise, return or store what is too large or odd: their jobs end, others go on."""

import asyncio
import textwrap
from pathlib import Path
from typing import Any

import pytest

from corvo_client import Job, JobState
from corvo_client.worker import Context, Retry, Snooze, Worker
from server_support.process import Process, python
from server_support.waiting import wait_until
from support.api_client import ApiClient, new_name
from support.server import CorvoServer

FINISHED = (JobState.COMPLETED, JobState.DEAD, JobState.CANCELLED)
HUGE = 9_000_000  # larger than a request may be
LARGE = 2_000_000  # larger than a result or a checkpoint may be


class Panic(BaseException):
    """Like the panic of a Rust extension."""

    def __str__(self) -> str:
        raise Panic


@pytest.fixture
def worker(server: CorvoServer) -> Worker:
    # A job that waits for the end of its lease would let its test time out.
    return Worker(server.url, concurrency=1, lease_duration=600)


async def ended(api: ApiClient, job_id: str) -> Job:
    return Job.model_validate(await api.see_state(job_id, *FINISHED))


async def test_no_error_takes_the_slot_of_a_worker(
    api: ApiClient, worker: Worker, queue: str
) -> None:
    plain = new_name()
    raised: list[BaseException] = []

    def throw(kind: str) -> Any:
        errors = {
            "panic": Panic(),
            "interrupt": KeyboardInterrupt(),
            "exit": SystemExit(1),
            "generator": GeneratorExit(),
            "cancelled": asyncio.CancelledError(),
            "retry": Retry(ValueError("no")),
            "huge": ValueError("x" * HUGE),
            "group": BaseExceptionGroup("g", [Panic()]),
        }
        if kind in errors:
            raised.append(errors[kind])
            raise errors[kind]
        return kind

    @worker.task(queue, max_retries=1)
    async def handle(kind: str) -> Any:
        return throw(kind)

    @worker.task(plain, max_retries=1)
    def handle_plainly(kind: str) -> Any:
        return throw(kind)

    expected = {
        "panic": "Panic: its message cannot be shown",
        "interrupt": "KeyboardInterrupt",
        "exit": "SystemExit: 1",
        "generator": "GeneratorExit",
        "cancelled": "CancelledError",
        "retry": "ValueError: no",
        "huge": "ValueError: xxx",
        "group": "BaseExceptionGroup: g",
    }
    ids = {
        (task, kind): await api.enqueue(task, {"kind": kind}, max_retries=1)
        for task in (queue, plain)
        for kind in (*expected, "fine")
    }
    async with worker:
        for (_, kind), job_id in ids.items():
            job = await ended(api, job_id)
            if kind == "fine":
                assert job.result == "fine"
            else:
                assert job.state == JobState.DEAD
                assert job.errors[0].error.startswith(expected[kind])
        assert worker.is_live()
    assert len(raised) == 2 * len(expected)


async def test_what_is_too_large_ends_the_attempt_with_the_reason(
    api: ApiClient, worker: Worker, queue: str
) -> None:
    @worker.task(queue)
    async def handle(context: Context, kind: str, size: int) -> Any:
        text = "x" * size
        match kind:
            case "result":
                return text
            case "snooze":
                context.checkpoint(text)
                raise Snooze(1000)
            case "fail":
                context.checkpoint(text)
                raise ValueError("no")
            case "progress":
                context.progress(1, 2, text)
                return None
            case _:
                raise AssertionError(kind)

    expected = {
        "result": "the server rejected the result: ",
        "snooze": "the server rejected the release: ",
        "fail": "ValueError: no (the server rejected a checkpoint: ",
    }
    ids = {
        (kind, size): await api.enqueue(queue, {"kind": kind, "size": size}, max_retries=1)
        for kind in (*expected, "progress")
        for size in (LARGE, HUGE)
    }
    async with worker:
        for (kind, size), job_id in ids.items():
            job = await ended(api, job_id)
            assert job.attempt == 1
            if kind == "progress":
                assert job.state == JobState.COMPLETED
                continue
            error = job.errors[0].error
            assert error.startswith(expected[kind])
            assert ("too large" if size == HUGE else "the limit is 1048576") in error


async def test_outcomes_that_are_too_large_together_are_split(
    server: CorvoServer, api: ApiClient, queue: str
) -> None:
    worker = Worker(server.url, concurrency=30, lease_duration=600)
    are_all_there = asyncio.Barrier(30)

    @worker.task(queue)
    async def handle() -> str:
        await are_all_there.wait()
        return "x" * 1_000_000

    ids = [await api.enqueue(queue, {}, max_retries=1) for _ in range(30)]
    async with worker:
        assert {(await ended(api, job_id)).state for job_id in ids} == {JobState.COMPLETED}


APPLICATION = """
import asyncio
import signal
from contextlib import asynccontextmanager

from fastapi import FastAPI

from corvo_client.worker import Worker

worker = Worker()


@worker.task("default")
async def task() -> None: ...


async def stop_application() -> None:
    try:
        await worker.wait()
    except Exception:
        signal.raise_signal(signal.SIGTERM)


@asynccontextmanager
async def lifespan(app):
    async with worker:
        watch = asyncio.create_task(stop_application())
        yield
        watch.cancel()


app = FastAPI(lifespan=lifespan)


async def let_the_worker_die():
    while not (found := [task for task in asyncio.all_tasks() if "Fetcher.run" in repr(task)]):
        await asyncio.sleep(0)
    found[0].cancel()


@asynccontextmanager
async def dying(_worker):
    killer = asyncio.create_task(let_the_worker_die())
    yield
    await killer


worker.lifespan = dying
"""


async def test_an_application_can_end_with_its_worker(server: CorvoServer, tmp_path: Path) -> None:
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    (tmp_path / "application.py").write_text(textwrap.dedent(APPLICATION))
    command = python("-m", "uvicorn", "application:app", "--port", "0")
    process = Process(command, env={"CORVO_SERVER": server.url}, cwd=tmp_path)
    try:
        await wait_until(lambda: not process.is_running, "the application has ended")
        assert "the worker ended with an error and runs no more jobs" in process.output
        assert "Application shutdown failed" in process.output
    finally:
        process.close()
