"""An occurrence has one job, although server processes on the same data are killed."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from corvo_server.engine.clock import system_clock
from corvo_server.engine.engine import Engine
from corvo_server.store.schedules import ScheduleRecord
from corvo_server.store.sqlite.store import SqliteStore
from server_support.calendar import HOUR, make_schedule

DAY = 24 * HOUR


@contextmanager
def server(data_dir: Path) -> Iterator[httpx.Client]:
    """A client of a server process, which is killed at the end."""
    command = [sys.executable, "-m", "corvo_server", "--bind", "127.0.0.1:0"]
    command += ["--data-dir", str(data_dir), "--log-format", "json"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            url = next(line["url"] for line in map(json.loads, process.stderr) if line.get("url"))
            with httpx.Client(base_url=f"{url}/api/v1") as client:
                yield client
        finally:
            process.kill()


def wait_for_job(client: httpx.Client, schedule: str) -> str:
    """Wait until a schedule has enqueued a job. Return its id."""
    deadline = time.monotonic() + 20
    while (job_id := client.get(f"/schedules/{schedule}").json()["last_job_id"]) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return str(job_id)


async def write_schedule(data_dir: Path, name: str, queue: str) -> ScheduleRecord:
    """Write a schedule that has missed an occurrence."""
    store = SqliteStore(data_dir)
    engine = Engine(store, clock=lambda: system_clock() - 366 * DAY)
    written, _ = await engine.schedules.put(*make_schedule(name, cron="@yearly", queue=queue))
    await store.close()
    return written


async def test_occurrence_has_one_job_although_servers_are_killed(tmp_path: Path) -> None:
    missed = await write_schedule(tmp_path, "missed", "once")
    job_ids = set()
    for life in range(3):
        # Due at the same time: when it has run, the server has processed all due schedules.
        await write_schedule(tmp_path, f"other-{life}", "others")
        with server(tmp_path) as client:
            wait_for_job(client, f"other-{life}")
            job_ids.add(wait_for_job(client, "missed"))
    store = SqliteStore(tmp_path)
    queue = await store.find_queue("once")
    (job,) = await store.find_jobs([*job_ids])
    await store.close()
    assert queue is not None
    assert queue.enqueued == 1
    assert job.head.scheduled_at == missed.next_run
