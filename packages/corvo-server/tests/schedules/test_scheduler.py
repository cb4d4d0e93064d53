"""The background service that runs due schedules."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from corvo_schema import FetchRequest
from corvo_server.engine.engine import Engine
from corvo_server.services import scheduler
from corvo_server.services.scheduler import Scheduler
from corvo_server.store.protocol import Store
from corvo_server.store.records import JobHead
from server_support.bench import QUEUE, until
from server_support.calendar import MINUTE, make_schedule
from server_support.clock import START, ManualClock, forward_loop


class WatchedScheduler(Scheduler):
    """Counts in `looks` how often it has read the next occurrence. It sleeps after each."""

    looks = 0

    async def next_time(self) -> int | None:
        occurrence = await super().next_time()
        self.looks += 1
        return occurrence


@asynccontextmanager
async def running(engine: Engine) -> AsyncIterator[WatchedScheduler]:
    watched = WatchedScheduler(engine.schedules)
    task = asyncio.create_task(watched.run())
    try:
        yield watched
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def next_job(engine: Engine) -> JobHead:
    request = FetchRequest.model_validate({"queues": [QUEUE], "worker_id": "worker-1"})
    (job,) = await engine.attempts.fetch(request, 1)
    return job.head


async def test_schedule_written_during_the_run_is_on_time(store: Store) -> None:
    clock = ManualClock(START + MINUTE - 100)
    engine = Engine(store, clock=clock)
    async with running(engine) as watched, asyncio.timeout(10):
        await until(lambda: watched.looks == 1)
        await engine.schedules.put(*make_schedule())
        clock.forward(100)
        forward_loop(0.1)
        job = await next_job(engine)
    assert job.scheduled_at == START + MINUTE
    assert job.created_at == START + MINUTE


async def test_missed_occurrence_runs_at_the_start(store: Store) -> None:
    await Engine(store, clock=lambda: START - 5 * MINUTE).schedules.put(*make_schedule())
    engine = Engine(store, clock=lambda: START)
    async with running(engine), asyncio.timeout(10):
        job = await next_job(engine)
    assert job.scheduled_at == START - 4 * MINUTE


async def test_change_of_the_wall_clock_is_noticed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "_LONGEST_SLEEP", 0.02)
    now = START
    engine = Engine(store, clock=lambda: now)
    await engine.schedules.put(*make_schedule(cron="@daily"))
    async with running(engine) as watched, asyncio.timeout(10):
        await until(lambda: watched.looks >= 2)
        assert (await engine.schedules.get("nightly")).last_job_id is None
        now = START + 24 * 60 * MINUTE
        await next_job(engine)
