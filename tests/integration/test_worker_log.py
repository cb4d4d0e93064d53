"""What a worker logs if its program configures no logging, and that it leaves other logs alone."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from corvo_client.__about__ import __version__
from server_support.process import Process, python
from server_support.waiting import wait_until
from support.api_client import ApiClient
from support.server import CorvoServer

PROGRAM = """
import logging
from corvo_client.worker import Cancel, Context, Retry, Worker

worker = Worker(concurrency=3)

@worker.task("{queue}")
async def handle(context: Context, kind: str) -> str:
    context.log.info("this is %s", kind)
    if kind == "retry":
        raise Retry("not yet")
    if kind == "cancel":
        raise Cancel("no such user")
    if kind == "fail":
        raise ValueError("no number")
    return "done"
"""
CONFIGURED = "\nlogging.basicConfig(level='INFO', format='mine %(message)s')\n"
SILENT = "\nlogging.getLogger('corvo').addHandler(logging.NullHandler())\n"
RUN = "\nif __name__ == '__main__':\n    worker.run()\n"
COMMANDS = [["program.py"], ["-m", "corvo_cli", "worker", "program"]]

Start = Callable[..., Process]
_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (\w+) +(corvo\.\w+): (.*)\n")


@pytest.fixture
def start(server: CorvoServer, queue: str, tmp_path: Path) -> Iterator[Start]:
    """A function that starts the program with a command, and with more code in it."""
    started: list[Process] = []

    def start(command: list[str], code: str = "") -> Process:
        (tmp_path / "program.py").write_text(PROGRAM.replace("{queue}", queue) + code + RUN)
        environment = {"CORVO_SERVER": server.url}
        started.append(Process(python(*command), env=environment, cwd=tmp_path))
        return started[-1]

    yield start
    for process in started:
        process.close()


async def run_jobs(api: ApiClient, queue: str, process: Process) -> dict[str, str]:
    """Run jobs of all kinds, and stop the process. Return the ids of the jobs."""
    ids = {
        kind: await api.enqueue(queue, {"kind": kind}, max_retries=attempts)
        for kind, attempts in {"succeed": 3, "cancel": 3, "retry": 3, "fail": 1}.items()
    }
    states = {"succeed": "completed", "cancel": "cancelled", "retry": "retrying", "fail": "dead"}
    for kind, job_id in ids.items():
        await api.see_state(job_id, states[kind])
    assert process.stop() == 0
    return ids


@pytest.mark.parametrize("command", COMMANDS, ids=["run", "corvo worker"])
async def test_the_default_log_tells_what_happens(
    server: CorvoServer, api: ApiClient, queue: str, start: Start, command: list[str]
) -> None:
    process = start(command)
    ids = await run_jobs(api, queue, process)
    lines = [found.groups() for line in process.lines if (found := _LINE.fullmatch(line))]
    ours = [(level, text) for level, name, text in lines if name == "corvo.worker"]
    level, banner = ours[0]
    assert level == "INFO"
    assert f"(corvo-client {__version__}) serves {queue} of {server.url}, concurrency 3" in banner
    name = f"of {queue}"
    assert set(ours) >= {
        ("INFO", f"job {ids['cancel']} {name} is cancelled: no such user"),
        ("WARNING", f"job {ids['retry']} {name} failed in attempt 1 of 3: not yet"),
        ("ERROR", f"job {ids['fail']} {name} failed in attempt 1 of 1 and is dead: "
         "ValueError: no number"),
    }  # fmt: skip
    assert 'raise ValueError("no number")' in process.output
    assert not [text for _, text in ours if ids["succeed"] in text]  # at level DEBUG
    assert f"[{ids['succeed']}] this is succeed" in process.output


async def test_successes_are_logged_at_debug(api: ApiClient, queue: str, start: Start) -> None:
    process = start([*COMMANDS[1], "--log-level", "debug"])
    ids = await run_jobs(api, queue, process)
    assert f"job {ids['succeed']} of {queue} completed in attempt 1\n" in process.output


@pytest.mark.parametrize("command", COMMANDS, ids=["run", "corvo worker"])
async def test_a_program_that_configures_logging_gets_each_line_once(
    api: ApiClient, queue: str, start: Start, command: list[str]
) -> None:
    process = start(command, CONFIGURED)
    ids = await run_jobs(api, queue, process)
    assert not [line for line in process.lines if _LINE.fullmatch(line)]
    failed = f"mine job {ids['retry']} of {queue} failed in attempt 1 of 3: not yet\n"
    assert process.output.count(failed) == 1


@pytest.mark.parametrize("command", COMMANDS, ids=["run", "corvo worker"])
async def test_a_handler_of_the_logger_corvo_counts_as_configuration(
    api: ApiClient, queue: str, start: Start, command: list[str]
) -> None:
    process = start(command, SILENT)

    async def is_served() -> bool:
        return (await api.state(job_id)) == "completed"

    job_id = await api.enqueue(queue, {"kind": "succeed"})
    await wait_until(is_served, "the job is completed")
    assert process.stop() == 0
    assert process.output == ""
