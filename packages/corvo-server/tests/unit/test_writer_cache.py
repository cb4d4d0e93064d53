"""The caches of the SQLite writer: the newest job, the newest event, and heads of active jobs."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from corvo_schema.states import JobState
from corvo_server.store.protocol import StoreUnavailable
from corvo_server.store.sqlite import jobs
from server_support.bench import Bench, is_done
from server_support.clock import ManualClock
from server_support.kits import SqliteKit


@pytest.fixture
def kit(tmp_path: Path) -> SqliteKit:
    """These tests are about the writer on SQLite only."""
    return SqliteKit(tmp_path)


@pytest.fixture
async def store(kit: SqliteKit) -> AsyncIterator[Any]:
    store = kit.open()
    yield store
    await store.close()


def cached_ids(bench: Bench) -> set[str]:
    heads = bench.store._writer._session._jobs._cached_heads  # type: ignore[attr-defined]
    return set(heads)


async def test_cache_contains_the_active_jobs(bench: Bench) -> None:
    await bench.enqueue("other")
    acked, failed, released = [await bench.start() for _ in range(3)]
    assert cached_ids(bench) == {acked.head.id, failed.head.id, released.head.id}
    await bench.ack(acked)
    await bench.fail(failed)
    await bench.release(released)
    assert cached_ids(bench) == set()


async def test_heartbeat_updates_the_cache(bench: Bench, clock: ManualClock) -> None:
    job = await bench.start()
    clock.forward(1_000)
    await bench.heartbeat(job)
    bench.kit.check_memory(bench.store)
    assert cached_ids(bench) == {job.head.id}


async def test_failed_commit_clears_the_cache(bench: Bench) -> None:
    job = await bench.start()
    with bench.kit.break_commits(bench.store), pytest.raises(StoreUnavailable):
        await bench.ack(job)
    assert await bench.state(job.head.id) is JobState.ACTIVE
    assert is_done(await bench.ack(job))


async def test_failed_enqueue_is_not_cached(bench: Bench) -> None:
    await bench.enqueue()
    with bench.kit.break_commits(bench.store), pytest.raises(StoreUnavailable):
        await bench.enqueue()
    bench.kit.check_memory(bench.store)
    await bench.enqueue()
    bench.kit.check_memory(bench.store)
    assert bench.kit.query("SELECT count(*), max(seq) FROM jobs") == [(2, 2)]
    assert bench.kit.query("SELECT count(*), max(id) FROM events") == [(2, 2)]


async def test_cache_has_a_maximum_size(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_CACHE_SIZE", 2)
    started = [await bench.start() for _ in range(3)]
    assert cached_ids(bench) == {job.head.id for job in started[1:]}
    outcomes = await asyncio.gather(*[bench.ack(job) for job in started])
    assert all(map(is_done, outcomes))
