"""Middleware, lifespans and handlers in processes, on a worker with a real server."""

import asyncio
import importlib
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from corvo_client import AsyncClient, Job
from corvo_client.worker import CallNext, Context, Worker
from server_support.waiting import wait_until
from support.api_client import new_name
from support.server import CorvoServer

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

HANDLERS = """
import os, time
from pathlib import Path
from corvo_client.worker import Context


def count(context: Context, marker: str, up_to: int) -> list:
    done = context.last_checkpoint or 0
    Path(marker).write_text(str(os.getpid()))
    while done < up_to:
        done += 1
        context.checkpoint(done)
        context.progress(done, up_to)
        if done == 3 and context.attempt == 1:
            while not Path(marker + ".seen").exists():
                time.sleep(0.01)
            raise ValueError("half way")
    return [done, os.getpid()]


def spin(marker: str) -> None:
    Path(marker).write_text(str(os.getpid()))
    while True:
        sum(range(1000))
"""


@pytest.fixture
def handlers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    name = "handlers_of_the_integration_tests"
    (tmp_path / f"{name}.py").write_text(HANDLERS)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module(name)
    del sys.modules[name]


@pytest.fixture
async def client(server: CorvoServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.url) as client:
        yield client


async def ended(client: AsyncClient, job_id: str) -> Job:
    async def job() -> Job | None:
        found = await client.get_job(job_id)
        return found if found.state in {"completed", "dead", "cancelled"} else None

    return await wait_until(job, "the job has ended")


async def test_middleware_and_lifespan_wrap_jobs(server: CorvoServer, client: AsyncClient) -> None:
    events: list[Any] = []

    @asynccontextmanager
    async def lifespan(_worker: Worker) -> AsyncIterator[str]:
        events.append("begins")
        yield "a pool"
        events.append("ends")

    queue = new_name()
    worker = Worker(server.url, lifespan=lifespan)

    @worker.use
    async def note(context: Context, call_next: CallNext) -> Any:
        events.append((context.traceparent, context.payload, context.state))
        return {"got": await call_next()}

    assert callable(note)

    @worker.task(queue)
    def plain(context: Context, n: int) -> list[Any]:
        return [n, context.state]

    async with worker:
        job_id = (await client.enqueue(queue, {"n": 1}, traceparent=TRACE)).job_id
        assert (await ended(client, job_id)).result == {"got": [1, "a pool"]}
    assert events == ["begins", (TRACE, {"n": 1}, "a pool"), "ends"]


async def test_a_handler_process_stores_checkpoints_and_is_killed_by_a_cancel(
    server: CorvoServer, client: AsyncClient, handlers: ModuleType, tmp_path: Path
) -> None:
    counting, spinning = new_name(), new_name()
    worker = Worker(server.url, processes=2, lease_duration=5)
    worker.task(counting, executor="process", retry_backoff="none")(handlers.count)
    worker.task(spinning, executor="process")(handlers.spin)
    async with worker:
        payload = {"marker": str(tmp_path / "count"), "up_to": 5}
        count = (await client.enqueue(counting, payload, retry_backoff="none")).job_id
        spin = (await client.enqueue(spinning, {"marker": str(tmp_path / "spin")})).job_id
        pid = await pid_in(tmp_path / "spin")
        await client.cancel_job(spin)
        spun = await ended(client, spin)
        assert (spun.state, spun.attempt) == ("cancelled", 1)
        await wait_until(lambda: not is_alive(pid), "the process has ended")
        await wait_until(lambda: has_checkpoint(client, count, 3), "the checkpoint is there")
        (tmp_path / "count.seen").touch()
        counted = await ended(client, count)
        assert counted.state == "completed"
        assert counted.attempt == 2
        assert counted.result[0] == 5
        assert counted.result[1] != os.getpid()
        assert [error.error for error in counted.errors] == ["ValueError: half way"]


async def has_checkpoint(client: AsyncClient, job_id: str, checkpoint: int) -> bool:
    return bool((await client.get_job(job_id)).checkpoint == checkpoint)


async def pid_in(marker: Path) -> int:
    await wait_until(lambda: marker.exists() and marker.read_text(), "the handler has begun")
    return int(await asyncio.to_thread(marker.read_text))


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
