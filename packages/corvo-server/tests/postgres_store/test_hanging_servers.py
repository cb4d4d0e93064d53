"""Servers that stand still, or are gone without a word, while they hold locks of the database."""

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
    """A wait that is for no rows."""
    pipeline.send(statement)
    pipeline.sync()


WAITS: dict[str, Callable[[Pipeline, str], object]] = {
    "ask": lambda pipeline, lock: pipeline.ask(lock),
    "request": lambda pipeline, lock: pipeline.request(lock)(),
    "count": lambda pipeline, lock: pipeline.count(lock),
    "sync": send_and_sync,
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_who_stands_still_after_an_answer_is_put_out_of_the_transaction(
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
    """What writes for a server."""
    return bench.store._writer._session  # type: ignore[attr-defined]


@contextmanager
def standing_still(bench: Bench, *, is_sending: bool = False) -> Iterator[threading.Event]:
    """Let the next commit of a server stand still before it ends; the event is set when it does.

    `is_sending`: before the database was told that nothing more comes for now.
    """
    session = session_of(bench)
    stands, may_go_on, real = threading.Event(), threading.Event(), session._end

    def end(pipeline: Pipeline, *args: Any) -> Any:
        if not is_sending:
            pipeline.sync()
        stands.set()
        may_go_on.wait()
        return real(pipeline, *args)

    session._end = end
    try:
        yield stands
    finally:
        session._end = real
        may_go_on.set()


async def see_that_nobody_is_held_up(
    still: Bench, other: Bench, job_id: str, *, is_sending: bool = False
) -> None:
    """A server stands still with a job locked: the other moves the job meanwhile."""
    with standing_still(still, is_sending=is_sending) as stands:
        cancelling = asyncio.ensure_future(still.engine.jobs.cancel(job_id))
        await asyncio.to_thread(stands.wait)
        await other.engine.jobs.move(job_id, "elsewhere")
    await cancelling
    assert await other.state(job_id) is JobState.CANCELLED
    await other.check_counters()


async def test_a_server_that_stands_still_holds_nobody_up_and_does_its_work_after(
    open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up = SQL.set_up_writing.replace("session_timeout', '5s'", "session_timeout', '300ms'")
    assert set_up != SQL.set_up_writing
    still, other = open_bench(**ALONE), open_bench(**ALONE)
    first = await other.enqueue()
    monkeypatch.setattr(SQL, "set_up_writing", set_up)
    await see_that_nobody_is_held_up(still, other, first)


WATCH = """
SELECT name, setting FROM pg_settings WHERE name LIKE 'tcp%' AND source = 'session' ORDER BY name
"""


def test_the_database_is_told_to_notice_when_we_are_gone(postgres_url: str) -> None:
    with connect(postgres_url) as connection:
        assert connection.execute(WATCH).fetchall() == [
            ("tcp_keepalives_count", "2"),
            ("tcp_keepalives_idle", "5"),
            ("tcp_keepalives_interval", "2"),
            ("tcp_user_timeout", "5000"),
        ]


def test_what_an_operator_has_set_about_it_stays(postgres_url: str) -> None:
    url = f"{postgres_url}?options=-c%20tcp_keepalives_idle%3D33"
    with connect(url) as connection:
        assert [name for name, _ in connection.execute(WATCH).fetchall()] == [
            "tcp_keepalives_count",
            "tcp_keepalives_interval",
            "tcp_user_timeout",
        ]
        assert connection.execute("SHOW tcp_keepalives_idle").fetchone() == ("33",)


def test_sessions_of_a_pooler_are_left_as_they_are(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "is_pooled", lambda _connection: True)
    with connect(postgres_url) as connection:
        assert connection.execute(WATCH).fetchall() == []


async def test_a_server_that_stands_still_while_it_sends_is_put_out_where_that_is_possible(
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
    still = open_bench(**ALONE)
    await see_that_nobody_is_held_up(still, other, first, is_sending=True)
