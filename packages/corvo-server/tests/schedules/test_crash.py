"""A slot and a server that is killed: real processes on the same data, one after the other."""

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
from corvo_server.store.sqlite.store import SqliteStore
from server_support.calendar import HOUR, make_schedule

DAY = 24 * HOUR


@contextmanager
def server(data_dir: Path) -> Iterator[httpx.Client]:
    """A client of a server process, which is killed in the end."""
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


def wait_for_run(client: httpx.Client) -> str:
    """The id of the job of the missed slot, once it is there and a little later."""
    deadline = time.monotonic() + 20
    while (job_id := client.get("/schedules/missed").json()["last_job_id"]) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.2)  # time to run the slot again, if it could
    return str(job_id)


async def test_slot_has_one_job_though_servers_are_killed(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    engine = Engine(store, clock=lambda: system_clock() - 366 * DAY)
    missed, _ = await engine.schedules.put(*make_schedule("missed", cron="@yearly"))
    await store.close()
    job_ids = set()
    for _ in range(3):
        with server(tmp_path) as client:
            job_ids.add(wait_for_run(client))
    store = SqliteStore(tmp_path)
    (queue,) = await store.list_queues()
    (job,) = await store.find_jobs([*job_ids])
    await store.close()
    assert queue.enqueued == 1
    assert job.head.scheduled_at == missed.next_run
