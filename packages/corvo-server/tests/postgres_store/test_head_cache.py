"""The head cache: a server uses the heads that it wrote last, if the rows are unchanged."""

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from corvo_schema.states import JobState
from corvo_server.engine.attempts import Ack
from corvo_server.store.postgres.pipeline import Pipeline
from corvo_server.store.postgres.rows import SQL
from corvo_server.store.records import LeasedJob
from server_support.bench import Bench, make_job, until

OpenBench = Callable[..., Bench]

ALONE: dict[str, Any] = {"notify": False, "poll_seconds": 0}


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that `Pipeline.request` sends."""
    sent: list[str] = []
    real = Pipeline.request

    def request(pipeline: Pipeline, statement: str, values: Any = ()) -> Any:
        sent.append(statement)
        return real(pipeline, statement, values)

    monkeypatch.setattr(Pipeline, "request", request)
    return sent


async def start(bench: Bench, count: int, **fields: Any) -> list[LeasedJob]:
    await bench.enqueue_batch(*(make_job(payload=n, **fields) for n in range(count)))
    return await bench.fetch(count=count)


async def test_an_ack_reads_no_head_that_the_fetch_wrote(
    open_bench: OpenBench, statements: list[str]
) -> None:
    bench = open_bench(**ALONE)
    jobs = await start(bench, 20)
    statements.clear()
    await bench.engine.attempts.ack([Ack(job.head.id, job.head.lease_token, None) for job in jobs])
    assert SQL.lock_cached_jobs in statements
    assert SQL.heads_by_id not in statements
    assert SQL.lock_keys_of_jobs not in statements
    assert (await bench.queue()).completed == 20
    await bench.check_counters()


async def test_unique_keys_of_cached_jobs_are_freed(
    open_bench: OpenBench, statements: list[str]
) -> None:
    bench = open_bench(**ALONE)
    (job,) = await start(bench, 1, unique_key="k")
    statements.clear()
    await bench.ack(job)
    assert SQL.lock_cached_jobs in statements
    assert SQL.lock_keys_of_jobs in statements
    await bench.enqueue(unique_key="k")


async def test_a_change_by_another_server_invalidates_a_cached_head(
    open_bench: OpenBench, statements: list[str]
) -> None:
    here, there = open_bench(**ALONE), open_bench(**ALONE)
    jobs = await start(here, 10)
    await there.engine.jobs.cancel(jobs[3].head.id)
    statements.clear()
    for job in jobs:
        await here.fail(job)
    assert statements.count(SQL.lock_cached_jobs) == 10
    assert statements.count(SQL.heads_by_id) == 1
    states = [await here.state(job.head.id) for job in jobs]
    expected = [JobState.RETRYING] * 10
    expected[3] = JobState.CANCELLED
    assert states == expected
    await here.check_counters()


async def test_an_ack_of_a_job_that_another_server_reclaimed_is_refused(
    open_bench: OpenBench,
) -> None:
    here, there = open_bench(**ALONE), open_bench(**ALONE)
    jobs = await start(here, 10)
    here.clock.forward(600_000)
    await there.engine.maintenance.reclaim()
    again = await there.fetch(count=10)
    assert [job.head.id for job in again] == [job.head.id for job in jobs]
    outcomes = await here.engine.attempts.ack(
        [Ack(job.head.id, job.head.lease_token, None) for job in jobs]
    )
    assert [type(outcome).__name__ for outcome in outcomes] == ["Refusal"] * 10
    for job in again:
        assert await there.head(job) == job.head
    await there.check_counters()


async def test_a_fail_waits_for_an_open_change_by_another_server(
    open_bench: OpenBench, postgres_url: str
) -> None:
    bench = open_bench(**ALONE)
    jobs = await start(bench, 3)
    job = jobs[1]
    with psycopg.connect(postgres_url) as other:
        other.execute(
            "UPDATE corvo.jobs SET is_cancel_requested = true WHERE id = %s", (job.head.id,)
        )
        failing = asyncio.ensure_future(bench.fail(job))
        with psycopg.connect(postgres_url, autocommit=True) as third:
            waiting = "SELECT FROM pg_locks WHERE NOT granted"
            await until(lambda: bool(third.execute(waiting).fetchall()))
        assert not failing.done()
        other.commit()
    await failing
    assert await bench.state(job.head.id) is JobState.CANCELLED


async def test_a_lost_connection_clears_the_cache(
    open_bench: OpenBench, statements: list[str]
) -> None:
    bench = open_bench(**ALONE)
    (job,) = await start(bench, 1)
    with bench.kit.lose():
        pass
    await bench.enqueue("others")
    statements.clear()
    await bench.ack(job)
    assert SQL.heads_by_id in statements
    assert await bench.state(job.head.id) is JobState.COMPLETED
