"""kill -9 under load, again and again on the same data: nothing acknowledged is ever lost.

`CORVO_CRASH_ROUNDS` and `CORVO_CRASH_SEED` in the environment choose how often, and the dice.
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
from support.final_state import check_counters, finish_all_jobs, jobs_of
from support.history import History
from support.history_checker import check, hand_outs, told_ids
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
            await _check_what_was_acknowledged(api, history)

    async with ApiClient(server.url) as api:
        await finish_all_jobs(api, history)
        jobs = await jobs_of(api, history)
        verdict = check(history, jobs)
        figures = Counter(call.verb for call in history.calls)
        print(f"{sum(figures.values())} operations ({dict(figures)}), {ROUNDS} kills,")
        print(f"{sum(call.is_open for call in history.calls)} calls without an answer,")
        print(f"{len(jobs)} jobs, {sum(map(len, hand_outs(history).values()))} hand-outs:")
        print(
            f"lost {len(verdict.lost)}, double leases {len(verdict.double_leases)}, "
            f"halves {len(verdict.halves)}, doubles {len(verdict.doubles)}"
        )
        assert not verdict.broken
        await check_counters(api, jobs)
    assert await asyncio.to_thread(server.stop) == 0
    assert _integrity(server.database) == "ok"


def _kill_after(answers: int, history: History, server: CorvoServer) -> None:
    """Kill the server in the very moment of an answer: what it says must be true by then."""
    last = history.answers + answers

    def look() -> None:
        if history.answers == last:
            server.signal(signal.SIGKILL)

    history.on_answer = look


async def _check_what_was_acknowledged(api: ApiClient, history: History) -> None:
    """Check right after the restart, before any call: every acknowledged job is there."""
    jobs = await jobs_of(api, history)
    acked = {call.body["job_id"] for call in history.of("ack") if call.is_done}
    assert {jobs[job_id]["state"] for job_id in acked} <= {"completed"}
    enqueued = [job_id for c in history.of("enqueue", "enqueue_batch") for job_id in told_ids(c)]
    assert set(enqueued) <= set(jobs)


def _integrity(database: Path) -> str:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        (found,) = connection.execute("PRAGMA integrity_check").fetchone()
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    return str(found)
