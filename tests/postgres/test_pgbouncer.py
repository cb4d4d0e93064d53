"""Servers behind a PgBouncer that can use another session for each transaction."""

import asyncio
import subprocess
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psycopg
import pytest

from corvo_client import AsyncClient
from corvo_server.store.postgres.database import prepare
from corvo_server.store.postgres.pipeline import Pipeline as Transaction
from corvo_server.store.postgres.readers import Readers
from corvo_server.store.protocol import SearchTooSlow
from server_support.engines import pgbouncer_or_skip
from server_support.pgbouncer import PgBouncer
from server_support.postgres import execute
from server_support.process import python
from server_support.waiting import wait_until
from support.api_client import ApiClient, new_name
from support.server import CorvoServer, StartServer

MODES = {"direct listen": True, "no listen": False, "pooled listen": True}
"""How servers listen for notifications, with the value of the option `notify`. A LISTEN through
the pooler receives no notifications."""
STATE = """
SELECT pg_backend_pid(), current_setting('search_path'), current_setting('statement_timeout'),
       current_setting('enable_seqscan'), current_setting('plan_cache_mode'),
       (SELECT count(*) FROM pg_prepared_statements),
       (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
       (SELECT count(*) FROM pg_listening_channels())
"""
FRESH = ('"$user", public', "0", "on", "auto", 0, 0, 0)
"""The state of a session that has no settings, statements, locks or channels of a server."""


class Pooled(NamedTuple):
    """Two servers on one database behind a pooler."""

    nodes: tuple[CorvoServer, CorvoServer]
    direct_url: str
    pooled_url: str
    mode: str


@pytest.fixture(params=MODES)
def pooled(
    request: pytest.FixtureRequest,
    pooler: PgBouncer,
    empty_postgres_url: str,
    make_server: StartServer,
) -> Pooled:
    """Two servers in each mode. Without a direct URL, they also migrate through the pooler."""
    mode: str = request.param
    return start(mode, pooler, empty_postgres_url, make_server)


@pytest.fixture
def listening(pooler: PgBouncer, empty_postgres_url: str, make_server: StartServer) -> Pooled:
    """Two servers in the recommended mode."""
    return start("direct listen", pooler, empty_postgres_url, make_server)


def start(mode: str, pooler: PgBouncer, url: str, make_server: StartServer) -> Pooled:
    database = pooler.url(url)
    listen_url = url if mode == "direct listen" else ""
    one, other = (
        make_server(database=database, database_listen_url=listen_url, notify=MODES[mode]).start()
        for _ in range(2)
    )
    return Pooled((one, other), url, pooler.url(url), mode)


async def test_an_enqueue_at_one_server_wakes_a_fetch_at_another(pooled: Pooled) -> None:
    queue = new_name()
    took = []
    async with ApiClient(pooled.nodes[0].url) as one, ApiClient(pooled.nodes[1].url) as other:
        for number in range(20):
            fetching = asyncio.create_task(other.fetch(queue, timeout=20))
            await other.see_waiting(1)
            started = time.perf_counter()
            job_id = await one.enqueue(queue, number)
            job = await fetching
            took.append(time.perf_counter() - started)
            assert (job["job_id"], job["payload"]) == (job_id, number)
            assert (await one.heartbeat(job))["status"] == "ok"
            await one.ack(job)
            assert await other.state(job_id) == "completed"
    print(f"\n{pooled.mode}: p50 {median(took) * 1000:.1f} ms, max {max(took) * 1000:.1f} ms")
    if pooled.mode == "direct listen":
        assert median(took) < 0.1, "a poll found the jobs, not the notification"
    else:
        assert median(took) < 0.9, "the poll of every second found the jobs"


async def test_servers_leave_no_state_in_sessions(pooled: Pooled) -> None:
    await work(pooled, jobs=60)
    sessions = {}
    for _ in range(40):
        ((pid, *state),) = execute(pooled.pooled_url, STATE)
        sessions[pid] = tuple(state)
    assert len(sessions) > 1, "all transactions used the same session"
    if pooled.mode == "pooled listen":  # The LISTEN stays in one session of the pooler.
        sessions = {pid: (*state[:-1], 0) for pid, state in sessions.items()}
    assert set(sessions.values()) == {FRESH}


async def work(pooled: Pooled, jobs: int) -> None:
    """Run each call often enough for psycopg to prepare its statement if that is enabled."""
    queue = new_name()
    async with ApiClient(pooled.nodes[0].url) as one, ApiClient(pooled.nodes[1].url) as other:
        for number in range(jobs):
            api, elsewhere = (one, other) if number % 2 else (other, one)
            tags = {"n": str(number % 7)}
            await api.enqueue(queue, number, tags=tags, unique_key=f"{queue}-{number}")
            job = await elsewhere.fetch(queue, timeout=10)
            if number % 5:
                await api.ack(job)
            else:
                await api.fail(job)
            found = await elsewhere.post("/jobs/search", {"queue": queue, "tags": tags})
            assert found["jobs"]
        counts = await one.queue(queue)
        assert counts["completed"] == jobs * 4 // 5


async def test_another_server_becomes_leader_and_promotes_jobs(listening: Pooled) -> None:
    queue = new_name()
    one, other = listening.nodes
    async with ApiClient(one.url) as api:
        leaders = await wait_until(lambda: leaders_of(api), "a server is the leader")
    killed, remaining = (one, other) if leaders[0]["address"] == one.url else (other, one)
    await asyncio.to_thread(killed.kill)
    started = time.monotonic()
    async with ApiClient(remaining.url) as api:
        await wait_until(lambda: is_leader(api, remaining.url), "the other server is the leader")
        took = time.monotonic() - started
        job_id = await api.enqueue(queue, 1, scheduled_at="2020-01-01T00:00:00Z")
        later = await api.enqueue(queue, 2, scheduled_at=soon())
        for expected in (job_id, later):
            job = await api.fetch(queue, timeout=20)
            assert job["job_id"] == expected
            await api.ack(job)
    print(f"\nthe leader changed within {took:.1f} s")
    assert took < 10


def soon() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))


async def leaders_of(api: ApiClient) -> list[dict[str, str]]:
    nodes = (await api.get("/cluster/status"))["nodes"]
    return [node for node in nodes if node["role"] == "leader"]


async def is_leader(api: ApiClient, url: str) -> bool:
    return [node["address"] for node in await leaders_of(api)] == [url]


async def test_a_read_whose_caller_is_cancelled_is_cancelled(
    pooler: PgBouncer, empty_postgres_url: str
) -> None:
    readers = Readers(pooler.url(empty_postgres_url), 1, schema="corvo")

    def read_behind(lock: int) -> asyncio.Future[object]:
        def read(transaction: Transaction) -> object:
            return transaction.ask("SELECT pg_advisory_xact_lock(%s)", (lock,))

        return asyncio.ensure_future(readers.run_within(60, read))

    with psycopg.connect(empty_postgres_url, autocommit=True) as holder:

        def requested_locks() -> list[int]:
            waiting = "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            return [lock for (lock,) in holder.execute(waiting)]

        holder.execute("SELECT pg_advisory_lock(71), pg_advisory_lock(72)")
        first = read_behind(71)
        await wait_until(lambda: requested_locks() == [71])
        first.cancel()
        second = read_behind(72)
        await wait_until(
            lambda: requested_locks() == [72], "the first read is stopped, the second has begun"
        )
        holder.execute("SELECT pg_advisory_unlock(72)")
        assert await second
    await readers.close()


async def test_a_read_that_takes_too_long_is_stopped_and_leaves_no_timeout(
    pooler: PgBouncer, empty_postgres_url: str
) -> None:
    url = pooler.url(empty_postgres_url)
    readers = Readers(url, 1, schema="corvo")
    slow = readers.run_within(0.2, lambda transaction: transaction.ask("SELECT pg_sleep(60)"))
    with pytest.raises(SearchTooSlow, match="longer than"):
        await slow
    assert await readers.run(lambda transaction: transaction.ask("SELECT 1")) == [(1,)]
    for _ in range(8):
        assert execute(url, "SHOW statement_timeout") == [("0",)]
    await readers.close()


async def test_no_job_is_lost_when_the_pooler_is_killed(
    empty_postgres_url: str, make_server: StartServer
) -> None:
    jobs, kills = 300, 3
    with pgbouncer_or_skip(empty_postgres_url) as pooler:
        node = make_server(
            expects_errors=True,
            database=pooler.url(empty_postgres_url),
            database_listen_url=empty_postgres_url,
        ).start()
        queue = new_name()
        async with AsyncClient(node.url) as client:
            for number in range(jobs):
                await client.enqueue(queue, {"n": number}, unique_key=str(number))
                if number % (jobs // kills) == 50:
                    await asyncio.to_thread(pooler.restart)
        async with ApiClient(node.url) as api:
            done = set()
            while job := await api.try_fetch(queue):
                done.add(job["payload"]["n"])
                await api.ack(job)
        assert done == set(range(jobs))
    assert check(empty_postgres_url).returncode == 0


def test_check_works_through_a_pooler_and_transfer_refuses_it(
    pooler: PgBouncer, empty_postgres_url: str, tmp_path: Path
) -> None:
    url = pooler.url(empty_postgres_url)
    prepare(url, "corvo")
    assert check(url).returncode == 0
    transfer = run("transfer", "--from", url, "--to", f"sqlite:///{tmp_path / 'there'}")
    assert transfer.returncode == 1
    assert "is behind a connection pooler" in transfer.stderr


def check(url: str) -> "subprocess.CompletedProcess[str]":
    return run("--database", url, "check")


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = python("-m", "corvo_server", *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
