"""Repeated kill -9 under load on the same data: no acknowledged call is lost.

The environment variables `CORVO_CRASH_ROUNDS` and `CORVO_CRASH_SEED` set the number of kills and
the random seed.
"""

import asyncio
import os
import random
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from support.api_client import ApiClient
from support.faults.figures import note_figures
from support.final_state import check_counters, finish_all_jobs, jobs_of
from support.history import History
from support.history_checker import acknowledged_ids, check, leases_by_job
from support.load import Load
from support.server import CorvoServer, StartServer

pytestmark = pytest.mark.sqlite

ROUNDS = int(os.environ.get("CORVO_CRASH_ROUNDS", "5"))
SEED = int(os.environ.get("CORVO_CRASH_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)


async def test_kills_under_load_lose_nothing(start_server: StartServer) -> None:
    print(f"\nseed {SEED}")
    chance = random.Random(SEED)  # noqa: S311
    history = History()
    load = Load(history, SEED)
    server = start_server()
    for _ in range(ROUNDS):
        _kill_after(chance.randrange(250, 900), history, server)
        await load.run(server.url, producers=4, workers=10)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.restart)
        async with ApiClient(server.url) as api:
            await _check_acknowledged_calls(api, history)

    async with ApiClient(server.url) as api:
        await finish_all_jobs(api, history)
        jobs = await jobs_of(api, history)
        verdict = check(history, jobs)
        verbs = Counter(call.verb for call in history.calls)
        print(f"{verbs.total()} operations ({dict(verbs)}), {ROUNDS} kills,")
        print(f"{sum(call.is_open for call in history.calls)} calls without an answer,")
        print(f"{len(jobs)} jobs, {sum(map(len, leases_by_job(history).values()))} leases:")
        print(
            f"lost {len(verdict.lost)}, double leases {len(verdict.double_leases)}, "
            f"partial {len(verdict.partial)}, duplicates {len(verdict.duplicates)}"
        )
        note_figures(
            "test_kills_under_load_lose_nothing",
            operations=verbs.total(),
            kills=ROUNDS,
            jobs=len(jobs),
            lost=len(verdict.lost),
            double_leases=len(verdict.double_leases),
        )
        assert not verdict.violations
        await check_counters(api, jobs)
    assert await asyncio.to_thread(server.stop) == 0
    assert _integrity(server.database) == "ok"


def _kill_after(answers: int, history: History, server: CorvoServer) -> None:
    """Kill the server right after an answer. The answer must already be durable."""
    last = history.answers + answers

    def kill_at_last_answer() -> None:
        if history.answers == last:
            server.signal(signal.SIGKILL)

    history.on_answer = kill_at_last_answer


async def _check_acknowledged_calls(api: ApiClient, history: History) -> None:
    """Check after the restart, before any other call, that every acknowledged job is stored."""
    jobs = await jobs_of(api, history)
    acked = {call.body["job_id"] for call in history.of("ack") if call.is_done}
    assert {jobs[job_id]["state"] for job_id in acked} <= {"completed"}
    enqueued = [
        job_id for c in history.of("enqueue", "enqueue_batch") for job_id in acknowledged_ids(c)
    ]
    assert set(enqueued) <= set(jobs)


def _integrity(database: Path) -> str:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        (found,) = connection.execute("PRAGMA integrity_check").fetchone()
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    return str(found)
