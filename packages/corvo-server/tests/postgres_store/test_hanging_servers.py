"""Servers that hang, or lose their host or network, while they have locks in the database."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import errors

from corvo_schema.states import JobState
from corvo_server.store.postgres import database
from corvo_server.store.postgres.database import connect
from corvo_server.store.postgres.pipeline import Pipeline
from corvo_server.store.postgres.rows import SQL
from server_support.bench import Bench

OpenBench = Callable[..., Bench]

ALONE: dict[str, Any] = {"notify": False, "poll_seconds": 0}


def send_and_sync(pipeline: Pipeline, statement: str) -> None:
    """Wait for a statement without reading its rows."""
    pipeline.send(statement)
    pipeline.sync()


WAITS: dict[str, Callable[[Pipeline, str], object]] = {
    "ask": lambda pipeline, lock: pipeline.ask(lock),
    "request": lambda pipeline, lock: pipeline.request(lock)(),
    "count": lambda pipeline, lock: pipeline.count(lock),
    "sync": send_and_sync,
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_an_idle_transaction_is_ended_after_every_kind_of_wait(
    postgres_url: str, wait: Callable[[Pipeline, str], object]
) -> None:
    with connect(postgres_url) as connection, connect(postgres_url) as other:
        pipeline = Pipeline(connection)
        pipeline.open()
        pipeline.send(SQL.begin)
        pipeline.send("SELECT set_config('idle_in_transaction_session_timeout', '50ms', true)")
        wait(pipeline, "SELECT pg_advisory_xact_lock(1)")
        other.execute("SET lock_timeout = '20s'")
        other.execute("SELECT pg_advisory_lock(1)")
        with pytest.raises((errors.IdleInTransactionSessionTimeout, psycopg.OperationalError)):
            pipeline.ask("SELECT 1")
        pipeline.abandon()
        assert connection.closed


def session_of(bench: Bench) -> Any:
    """Return the session of a server's writer."""
    return bench.store._writer._session  # type: ignore[attr-defined]


@contextmanager
def hanging(bench: Bench, *, is_sending: bool = False) -> Iterator[threading.Event]:
    """Make the next commit of a server hang before its COMMIT; the event is set when it hangs.

    `is_sending`: hang without a synchronization of the pipeline.
    """
    session = session_of(bench)
    hangs, may_continue, real = threading.Event(), threading.Event(), session._end

    def end(pipeline: Pipeline, *args: Any) -> Any:
        if not is_sending:
            pipeline.sync()
        hangs.set()
        may_continue.wait()
        return real(pipeline, *args)

    session._end = end
    try:
        yield hangs
    finally:
        session._end = real
        may_continue.set()


async def check_that_other_is_not_blocked(
    hung: Bench, other: Bench, job_id: str, *, is_sending: bool = False
) -> None:
    """Make a server hang while it has a job locked; check that another can move the job."""
    with hanging(hung, is_sending=is_sending) as hangs:
        cancelling = asyncio.ensure_future(hung.engine.jobs.cancel(job_id))
        await asyncio.to_thread(hangs.wait)
        await other.engine.jobs.move(job_id, "elsewhere")
    await cancelling
    assert await other.state(job_id) is JobState.CANCELLED
    await other.check_counters()


async def test_a_hanging_server_blocks_no_other_and_retries_its_commit(
    open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SQL.set_up_writing.replace("session_timeout', '5s'", "session_timeout', '300ms'")
    assert settings != SQL.set_up_writing
    hung, other = open_bench(**ALONE), open_bench(**ALONE)
    first = await other.enqueue()
    monkeypatch.setattr(SQL, "set_up_writing", settings)
    await check_that_other_is_not_blocked(hung, other, first)


TCP_SETTINGS = """
SELECT name, setting FROM pg_settings WHERE name LIKE 'tcp%' AND source = 'session' ORDER BY name
"""


def test_the_database_gets_settings_that_detect_lost_clients(postgres_url: str) -> None:
    with connect(postgres_url) as connection:
        assert connection.execute(TCP_SETTINGS).fetchall() == [
            ("tcp_keepalives_count", "2"),
            ("tcp_keepalives_idle", "5"),
            ("tcp_keepalives_interval", "2"),
            ("tcp_user_timeout", "5000"),
        ]


def test_tcp_settings_of_an_operator_are_kept(postgres_url: str) -> None:
    url = f"{postgres_url}?options=-c%20tcp_keepalives_idle%3D33"
    with connect(url) as connection:
        assert [name for name, _ in connection.execute(TCP_SETTINGS).fetchall()] == [
            "tcp_keepalives_count",
            "tcp_keepalives_interval",
            "tcp_user_timeout",
        ]
        assert connection.execute("SHOW tcp_keepalives_idle").fetchone() == ("33",)


def test_tcp_settings_are_not_changed_behind_a_pooler(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "is_pooled", lambda _connection: True)
    with connect(postgres_url) as connection:
        assert connection.execute(TCP_SETTINGS).fetchall() == []


async def test_a_server_that_hangs_while_sending_is_ended_by_transaction_timeout(
    open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = SQL.limit_transactions.replace("'30s'", "'300ms'")
    assert limit != SQL.limit_transactions
    other = open_bench(**ALONE)
    first = await other.enqueue()
    connection = session_of(other)._connection
    if connection.info.server_version < 170_000:
        pytest.skip("PostgreSQL has transaction_timeout from version 17 on")
    assert connection.execute("SHOW transaction_timeout").fetchone() == ("30s",)
    monkeypatch.setattr(SQL, "limit_transactions", limit)
    hung = open_bench(**ALONE)
    await check_that_other_is_not_blocked(hung, other, first, is_sending=True)
