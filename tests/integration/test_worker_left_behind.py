"""What handlers leave behind in a worker process: it goes on, and ends when it shall."""

import asyncio
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from corvo_client import Job, JobState
from server_support.process import Process, python
from support.api_client import ApiClient
from support.server import CorvoServer

FINISHED = (JobState.COMPLETED, JobState.DEAD)
PROGRAM = """
import asyncio, multiprocessing, os, signal, sys, threading, time
from corvo_client.worker import Worker

queue = sys.argv[1]
worker = Worker(concurrency=2, grace_period=0, lease_duration=600)


async def ignore_cancels():
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass


@worker.task(queue)
async def handle(case: str):
    match case:
        case "thread":
            for _ in range(40):  # more than asyncio has threads
                worker.task_of_test = asyncio.create_task(asyncio.to_thread(time.sleep, 1000))
        case "task":
            worker.task_of_test = asyncio.create_task(ignore_cancels())
            await asyncio.sleep(0)
        case "pool":
            await asyncio.get_running_loop().shutdown_default_executor()
        case "alarm":
            rung = []
            def ring(*_):
                rung.append(True)
                raise TimeoutError("too late")
            signal.signal(signal.SIGALRM, ring)
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            while not rung:
                await asyncio.sleep(0.01)
        case "fork":
            os.fork()
            await asyncio.sleep(0)
            return os.getpid() == WORKER
        case "cancel":
            for task in asyncio.all_tasks():
                task.cancel()
    return "fine"


@worker.task(queue + ".plain")
def handle_plainly(case: str):
    match case:
        case "fork":
            os.fork()
            return os.getpid() == WORKER
        case "pool":
            with multiprocessing.get_context("fork").Pool(2) as pool:
                return pool.map(abs, [-1, -2])


@worker.task(queue + ".process", executor="process")
def handle_in_process(case: str):
    threading.Thread(target=time.sleep, args=(1000,)).start()
    return "fine"


WORKER = os.getpid()
GUARD
"""
GUARDED = 'if __name__ == "__main__":\n    worker.run()'


class Program:
    """Starts the program."""

    def __init__(self, url: str, queue: str, folder: Path) -> None:
        self.path = folder / "program.py"
        self._url = url
        self._queue = queue
        self.process: Process | None = None

    def start(self, guard: str = GUARDED) -> Process:
        self.path.write_text(textwrap.dedent(PROGRAM).replace("GUARD", guard))
        command = python(self.path, self._queue)
        self.process = Process(command, env={"CORVO_SERVER": self._url})
        return self.process


@pytest.fixture
def program(server: CorvoServer, queue: str, tmp_path: Path) -> Iterator[Program]:
    program = Program(server.url, queue, tmp_path)
    yield program
    if program.process is not None:
        program.process.close()


async def run(api: ApiClient, queue: str, case: str) -> Job:
    job_id = await api.enqueue(queue, {"case": case}, max_retries=1)
    return Job.model_validate(await api.see_state(job_id, *FINISHED))


@pytest.mark.parametrize(
    ("kind", "case", "expected"),
    [
        ("", "thread", "fine"),
        ("", "task", "fine"),
        ("", "pool", "fine"),
        ("", "alarm", "fine"),
        ("", "fork", True),
        (".plain", "fork", True),
        (".plain", "pool", [1, 2]),
        (".process", "thread", "fine"),
    ],
)
async def test_a_worker_goes_on_and_stops(
    api: ApiClient, queue: str, program: Program, kind: str, case: str, expected: Any
) -> None:
    process = program.start()
    assert (await run(api, queue + kind, case)).result == expected
    assert (await run(api, queue, "nothing")).result == "fine"
    assert await asyncio.to_thread(process.stop) == 0


async def test_a_handler_that_cancels_all_tasks_keeps_its_outcome(
    api: ApiClient, queue: str, program: Program
) -> None:
    process = program.start()
    assert (await run(api, queue, "cancel")).result == "fine"
    assert await asyncio.to_thread(process.wait) == 1


async def test_a_main_module_without_a_guard_ends_the_attempt(
    api: ApiClient, queue: str, program: Program
) -> None:
    """The process for handlers imports the main module. It must not become a second worker."""
    process = program.start(guard="worker.run()")
    job = await run(api, queue + ".process", "thread")
    assert job.errors[0].error.startswith("HandlerDied: ")
    assert 'start it below `if __name__ == "__main__":`' in process.output
    assert (await run(api, queue, "nothing")).result == "fine"
