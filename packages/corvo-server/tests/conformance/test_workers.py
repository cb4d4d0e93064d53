"""The list of workers of one server."""

import asyncio

import pytest

from corvo_server.engine.errors import CallError
from corvo_server.engine.workers import WorkerRecord
from server_support.bench import Bench
from server_support.clock import START

HOUR = 3_600_000


async def listed(bench: Bench) -> dict[str, WorkerRecord]:
    return {record.id: record for record in await bench.engine.workers.list()}


async def test_worker_is_listed_with_its_queues_times_and_jobs(bench: Bench) -> None:
    await bench.start()
    bench.clock.forward(5_000)
    await bench.fetch("other", "mail")
    bench.clock.forward(5_000)
    await bench.engine.attempts.heartbeat([], "worker-1")
    worker = await bench.engine.workers.get("worker-1")
    assert worker.queues == ["mail", "other"]
    assert worker.first_seen == START
    assert worker.last_fetch == START + 5_000
    assert worker.last_heartbeat == START + 10_000
    assert (worker.active_jobs, worker.status) == (1, "ok")


async def test_status_follows_the_last_calls(bench: Bench) -> None:
    await bench.fetch(worker="fetching")
    for _ in range(6):
        await bench.engine.attempts.heartbeat([], "beating")
        bench.clock.forward(60_000)
    assert {name: each.status for name, each in (await listed(bench)).items()} == {
        "fetching": "silent",
        "beating": "not_fetching",
    }
    await bench.fetch(worker="beating")
    assert (await listed(bench))["beating"].status == "ok"


async def test_worker_is_forgotten_an_hour_after_its_last_call(bench: Bench) -> None:
    await bench.fetch()
    bench.clock.forward(HOUR - 1)
    assert (await listed(bench))["worker-1"].status == "silent"
    bench.clock.forward(1)
    assert await listed(bench) == {}


async def test_queue_is_forgotten_an_hour_after_its_last_fetch(bench: Bench) -> None:
    await bench.fetch("old", worker="w")
    bench.clock.forward(HOUR // 2)
    await bench.fetch("new", worker="w")
    assert (await listed(bench))["w"].queues == ["old", "new"]
    bench.clock.forward(HOUR // 2)
    assert (await listed(bench))["w"].queues == ["new"]


async def test_worker_that_signed_off_is_not_listed(bench: Bench) -> None:
    await bench.fetch(worker="stays")
    await bench.fetch(worker="goes")
    await bench.engine.attempts.heartbeat([], "goes", is_stopped=True)
    await bench.engine.attempts.heartbeat([], "never called", is_stopped=True)
    assert list(await listed(bench)) == ["stays"]
    with pytest.raises(CallError):
        await bench.engine.workers.get("goes")
    assert not await bench.engine.workers.has_served("elsewhere")


async def test_worker_that_signed_off_is_listed_while_it_has_active_jobs(bench: Bench) -> None:
    job = await bench.start()
    await bench.engine.attempts.heartbeat([], "worker-1", is_stopped=True)
    assert (await listed(bench))["worker-1"].active_jobs == 1
    await bench.ack(job)
    assert await listed(bench) == {}


async def test_worker_that_starts_again_under_its_id_is_listed_as_a_new_one(bench: Bench) -> None:
    await bench.fetch("before", worker="w")
    await bench.engine.attempts.heartbeat([], "w", is_stopped=True)
    bench.clock.forward(1)
    await bench.fetch("after", worker="w")
    worker = (await listed(bench))["w"]
    assert (worker.queues, worker.first_seen) == (["after"], START + 1)


async def test_workers_that_sign_off_together(bench: Bench) -> None:
    names = [f"w-{number}" for number in range(50)]
    for name in names:
        await bench.fetch(worker=name)
    await asyncio.gather(
        *(bench.engine.attempts.heartbeat([], name, is_stopped=True) for name in names)
    )
    assert await listed(bench) == {}
