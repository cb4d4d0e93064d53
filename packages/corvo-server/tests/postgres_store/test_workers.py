"""The list of workers is the same on all servers of one database."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from corvo_server.engine import callers
from corvo_server.engine.workers import WorkerRecord
from corvo_server.store.protocol import StoreUnavailable
from corvo_server.store.workers import WorkerReport
from server_support.bench import Bench
from server_support.clock import START, ManualClock
from server_support.kits import PostgresKit

OpenBench = Callable[..., Bench]
HOUR = 3_600_000


@pytest.fixture
def here(open_bench: OpenBench) -> Bench:
    """A server."""
    return open_bench(notify=False, poll_seconds=0)


@pytest.fixture
def there(open_bench: OpenBench) -> Bench:
    """Another server on the same database."""
    return open_bench(notify=False, poll_seconds=0)


async def beat(bench: Bench, worker: str, **options: Any) -> None:
    await bench.engine.attempts.heartbeat([], worker, **options)


async def sign_off(bench: Bench, worker: str) -> None:
    await beat(bench, worker, is_stopped=True)


async def report(*benches: Bench) -> None:
    for bench in benches:
        await bench.engine.workers.report()


async def listed(bench: Bench) -> dict[str, WorkerRecord]:
    return {record.id: record for record in await bench.engine.workers.list()}


async def test_worker_of_one_server_is_listed_by_the_other(here: Bench, there: Bench) -> None:
    await here.enqueue()
    await here.fetch("mail", "other", worker="w")
    await here.fetch("third", worker="w")
    here.clock.forward(5_000)
    await beat(here, "w")
    await report(here)
    found = await listed(there)
    assert found == await listed(here)
    assert found["w"] == WorkerRecord(
        "w",
        found["w"].hostname,
        {("mail", "other"): START, ("third",): START},
        first_seen=START,
        last_fetch=START,
        last_heartbeat=START + 5_000,
        active_jobs=1,
        status="ok",
    )
    assert await there.engine.workers.get("w") == found["w"]


async def test_texts_of_a_worker_arrive_unchanged(here: Bench, there: Bench) -> None:
    name = "w'\"\\{}[],\n\u2028é\U0001f40d%s"
    here.engine.workers.note_fetch(name, name, ["a-1", "b.2"])
    await report(here)
    (found,) = await there.engine.workers.list()
    assert (found.id, found.hostname, found.queues) == (name, name, ["a-1", "b.2"])


async def test_calls_at_several_servers_count_together(here: Bench, there: Bench) -> None:
    """As with a load balancer: a worker's fetches go to one server, its heartbeats to another."""
    await here.fetch("a", worker="w")
    await report(here)
    for _ in range(6):
        here.clock.forward(60_000)
        await beat(there, "w")
        await report(there)
    assert await listed(here) == await listed(there)
    worker = (await listed(here))["w"]
    assert (worker.first_seen, worker.last_fetch) == (START, START)
    assert (worker.last_heartbeat, worker.status) == (START + 360_000, "not_fetching")
    await there.fetch("b", worker="w")
    await report(there)
    worker = (await listed(here))["w"]
    assert (sorted(worker.queues), worker.status) == (["a", "b"], "ok")


@pytest.mark.parametrize("is_reported", [True, False], ids=["reported", "in memory"])
async def test_sign_off_at_one_server_counts_at_the_other_at_once(
    here: Bench, there: Bench, *, is_reported: bool
) -> None:
    await here.fetch(worker="w")
    await there.fetch(worker="w")  # right before the sign-off
    if is_reported:
        await report(here, there)
    await sign_off(here, "w")
    assert await listed(here) == await listed(there) == {}
    for _ in range(3):  # the other server does not write it back
        await report(there, here)
        assert await listed(here) == await listed(there) == {}
        here.clock.forward(600_000)


async def test_sign_off_counts_although_the_clock_of_another_server_is_ahead(
    here: Bench, there: Bench, clock: ManualClock
) -> None:
    clock.forward(20)
    await there.fetch(worker="w")
    await report(there)
    clock.forward(-20)
    await sign_off(here, "w")
    assert await listed(here) == await listed(there) == {}


async def test_sign_off_of_a_worker_that_the_server_does_not_know(
    here: Bench, there: Bench
) -> None:
    await there.fetch(worker="w")
    await report(there)
    await sign_off(here, "w")
    assert await listed(here) == await listed(there) == {}


async def test_sign_off_counts_until_all_servers_have_forgotten_the_worker(
    here: Bench, there: Bench
) -> None:
    here.clock.forward(1_000)
    await there.fetch(worker="w")
    here.clock.forward(-1_000)
    await report(there)
    await sign_off(here, "w")
    for _ in range(40):
        here.clock.forward(100_000)
        await report(here, there)
        assert await listed(here) == await listed(there) == {}


async def test_worker_that_starts_again_under_its_id_is_listed(here: Bench, there: Bench) -> None:
    await there.fetch("before", worker="w")
    await report(there)
    here.clock.forward(60_000)
    await sign_off(here, "w")
    here.clock.forward(1)
    await here.fetch("after", worker="w")  # its own server knows the order of the calls
    await report(here)
    for bench in (here, there):
        assert (await listed(bench))["w"].queues == ["after"]
    here.clock.forward(2_000)
    await there.fetch("later", worker="w")
    await report(there)
    for bench in (here, there):
        worker = (await listed(bench))["w"]
        assert sorted(worker.queues) == ["after", "later"]
        assert worker.first_seen == START + 60_001


async def test_workers_of_a_killed_server_age_out(here: Bench, open_bench: OpenBench) -> None:
    killed = open_bench(notify=False, poll_seconds=0)
    await killed.fetch(worker="w")
    await report(killed)
    await killed.store.close()
    assert (await listed(here))["w"].status == "ok"
    here.clock.forward(120_001)
    assert (await listed(here))["w"].status == "silent"
    here.clock.forward(HOUR - 120_001)
    assert await listed(here) == {}
    await report(here)
    assert here.kit.count_rows("workers") == 0


async def test_server_that_starts_again_lists_the_workers(
    here: Bench, open_bench: OpenBench
) -> None:
    await here.fetch(worker="w")
    await here.fetch(worker="stopped")
    await report(here)
    await sign_off(here, "stopped")
    await here.store.close()
    again = open_bench(notify=False, poll_seconds=0)
    assert list(await listed(again)) == ["w"]


async def test_queue_that_is_served_at_another_server_gives_no_warning(
    here: Bench, there: Bench
) -> None:
    await here.fetch("quiet")
    await report(here)
    assert await here.engine.workers.has_served("quiet")
    assert await there.engine.workers.has_served("quiet")
    assert not await there.engine.workers.has_served("quie")


async def test_reports_are_bounded(
    here: Bench, there: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database has no more workers of a server than its memory."""
    monkeypatch.setattr(callers, "_MAX_CALLERS", 100)
    monkeypatch.setattr(callers, "_PART", 7)
    for number in range(1_000):
        here.engine.workers.note_fetch(f"w-{number:04}", None, ["q"])
        here.clock.forward(1)
        if number % 30 == 0:
            await report(here)
    await report(here)
    known = await listed(here)
    assert 90 <= len(known) <= 100
    assert here.kit.count_rows("workers") == len(known)
    assert await listed(there) == known


async def test_reports_are_written_in_parts_of_bounded_size(
    here: Bench, there: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[int] = []
    real = here.store.report_workers

    async def count(reports: list[WorkerReport]) -> None:
        parts.append(len(reports))
        await real(reports)

    monkeypatch.setattr(here.store, "report_workers", count)
    for number in range(2_500):
        here.engine.workers.note_heartbeat(f"w-{number}")
    for number in range(3):
        queues = [f"queue-{number}-{i}" for i in range(15_000)]
        here.engine.workers.note_fetch(f"large-{number}", None, queues)
    assert await here.engine.workers.report() == 2_503
    assert parts == [1_000, 1_000, 502, 1]
    assert len(await listed(there)) == 2_503
    assert await here.engine.workers.report() == 0
    here.engine.workers.note_heartbeat("w-7")
    assert await here.engine.workers.report() == 1


async def test_workers_that_sign_off_together_share_a_write(
    here: Bench, there: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"w-{number}" for number in range(200)]
    for name in names:
        await there.fetch(worker=name)
    writes = 0
    real = here.store.report_workers

    async def count(reports: list[WorkerReport]) -> None:
        nonlocal writes
        writes += 1
        await real(reports)

    monkeypatch.setattr(here.store, "report_workers", count)
    await asyncio.gather(*(sign_off(here, name) for name in names))
    assert writes <= 2
    assert await listed(there) == {}


async def test_report_that_failed_is_repeated(here: Bench, there: Bench, postgres_url: str) -> None:
    await here.fetch(worker="w")
    await there.fetch(worker="stops")
    with PostgresKit(postgres_url).lose():
        with pytest.raises(StoreUnavailable):
            await here.engine.workers.report()
        with pytest.raises(StoreUnavailable):
            await sign_off(here, "stops")
    await report(here)
    assert list(await listed(there)) == ["w"]
