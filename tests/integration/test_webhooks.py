"""Webhooks while the receiver and the server are killed under load: every event, in order per job.

The environment variables `CORVO_HOOK_ROUNDS` and `CORVO_HOOK_JOBS` set the number of kills of each,
and the number of jobs between two kills.
"""

import asyncio
import json
import os
import signal
import subprocess
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from corvo_client import AsyncClient, CorvoError, new_job_id
from server_support.process import python
from server_support.waiting import wait_until
from support.faults.figures import note_figures
from support.server import CorvoServer, StartServer
from support.web_example import EXAMPLES

ROUNDS = int(os.environ.get("CORVO_HOOK_ROUNDS", "2"))
JOBS = int(os.environ.get("CORVO_HOOK_JOBS", "60"))
QUEUE = "told"


class Receiver:
    """The example of a receiver, as a process on a port that stays the same."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.events = directory / "events.jsonl"
        self.secret = directory / "secret"
        self._port = 0
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/"

    def start(self) -> None:
        command = python(
            EXAMPLES / "webhook_receiver.py",
            *("--port", str(self._port), "--events", self.events, "--secret-file", self.secret),
        )
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self._port = int(line.rstrip().rstrip("/").rpartition(":")[2])

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.communicate()
            self._process = None

    def received(self) -> list[dict[str, Any]]:
        if not self.events.exists():
            return []
        text = self.events.read_text(encoding="utf-8")
        return [json.loads(line)["data"] for line in text.splitlines(keepends=True) if line[-1:]]


@pytest.fixture
def receiver(tmp_path: Path) -> Any:
    receiver = Receiver(tmp_path)
    yield receiver
    receiver.kill()


async def work(url: str, jobs: int) -> None:
    """Enqueue jobs, fail the first attempt of some, complete all. Go on after each failure."""
    async with AsyncClient(url) as client:
        ids = [new_job_id() for _ in range(jobs)]
        left = set(ids)

        async def produce() -> None:
            for number, job_id in enumerate(ids):
                await persist(
                    lambda n=number, i=job_id: client.enqueue(
                        QUEUE, {"n": n}, job_id=i, retry_base_delay="100ms"
                    )
                )

        async def consume() -> None:
            while left:
                try:
                    jobs = await client.fetch_batch(
                        [QUEUE], worker_id="w", count=4, timeout=1, lease_duration=2
                    )
                    for job in jobs:
                        if job.attempt == 1 and job.payload["n"] % 3 == 0:
                            await client.fail(job, "again")
                        else:
                            await client.ack(job)
                            left.discard(job.job_id)
                except CorvoError:  # an ack whose answer was lost may have been stored
                    found = await persist(lambda: client.bulk_get(left))
                    left.difference_update(job.id for job in found if job.state == "completed")

        await asyncio.gather(produce(), consume())


async def persist(call: Any) -> Any:
    """Repeat a call until it succeeds."""
    ends_at = time.monotonic() + 60
    while True:
        try:
            return await call()
        except CorvoError:
            assert time.monotonic() < ends_at
            await asyncio.sleep(0.1)


async def test_each_event_is_received_in_order_per_job(
    start_server: StartServer, receiver: Receiver
) -> None:
    server = start_server(webhook_allow="127.0.0.1")
    receiver.secret.write_text("whsec_" + "c2VjcmV0" * 5)
    receiver.start()
    async with AsyncClient(server.url) as client:
        made = await client.create_webhook(
            "hook",
            receiver.url,
            queues=["to*"],
            secret=receiver.secret.read_text(),
        )
        started = time.monotonic()
        for round_ in range(ROUNDS):
            load = asyncio.create_task(work(server.url, JOBS))
            await wait_until(lambda n=round_: len(receiver.received()) > n * JOBS * 2, "a start")
            await asyncio.to_thread(receiver.kill)
            await asyncio.sleep(0)
            await kill_and_restart(server)
            await asyncio.to_thread(receiver.start)
            await wait_until(load.done, "the load is done", within=120)
            await load
        loaded = time.monotonic()

        expected = await events_of(client)
        count = sum(map(len, expected.values()))

        async def completed() -> bool:
            found = await client.get_queue(made.delivery_queue)
            return found.completed == count and not found.active

        await wait_until(completed, "each event has one delivery, which is done", within=150)
        settled = time.monotonic()
    received = receiver.received()
    verdict = check(expected, received)
    print(f"\n{count} events of {len(expected)} jobs, {ROUNDS} kills of server and receiver each,")
    print(f"{len(received)} received; load {loaded - started:.1f} s, then {settled - loaded:.1f} s")
    note_figures(
        "test_each_event_is_received_in_order_per_job",
        operations=count,
        kills=2 * ROUNDS,
        jobs=len(expected),
        lost=verdict.count("lost"),
    )
    assert verdict == []


async def kill_and_restart(server: CorvoServer) -> None:
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.restart)


async def events_of(client: AsyncClient) -> dict[str, list[int]]:
    """Return the ids of the events of each job."""
    expected = {}
    for found in (await client.search(queue=QUEUE, limit=1000)).jobs:
        job = await client.get_job(found.id)
        expected[job.id] = [event.id or 0 for event in job.timeline]
    return expected


def check(expected: dict[str, list[int]], received: list[dict[str, Any]]) -> list[str]:
    """Return the violations: `lost` for each event, `disorder` for each job."""
    first: defaultdict[str, list[int]] = defaultdict(list)
    for event in received:
        if event["event_id"] not in first[event["job_id"]]:
            first[event["job_id"]].append(event["event_id"])
    verdict = []
    for job_id, ids in expected.items():
        verdict += ["lost"] * len(set(ids) - set(first[job_id]))
        verdict += ["disorder"] * (first[job_id] != sorted(first[job_id]))
    return verdict


def test_checker_finds_lost_and_late_events() -> None:
    told = [{"job_id": "a", "event_id": 1}, {"job_id": "b", "event_id": 2}]
    assert check({"a": [1], "b": [2]}, [*told, told[0]]) == []
    assert check({"a": [1, 3], "b": [2]}, told) == ["lost"]
    late = [{"job_id": "a", "event_id": 3}, {"job_id": "a", "event_id": 1}]
    assert check({"a": [1, 3]}, late) == ["disorder"]
