"""Outbox for SQLAlchemy on SQLite and PostgreSQL, with a real server."""

import asyncio
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")

import httpx
from sqlalchemy import Engine, MetaData, create_engine, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.ext.asyncio import async_sessionmaker as async_sessions
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from corvo_client import (
    NO_RETRIES,
    AsyncClient,
    Client,
    ConnectionFailed,
    EncryptionCodec,
    Unauthorized,
    ValidationFailed,
    new_job_id,
)
from corvo_client._outbox import MAX_REQUEST_BYTES
from corvo_client.outbox import AsyncRelay, Relay
from corvo_client.outbox.sqlalchemy import Outbox
from corvo_client.testing import LocalServer, recording
from corvo_client.worker import Worker


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str]


outbox = Outbox(Base.metadata)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'app.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def relay(engine: Engine, client: Client) -> Relay:
    return outbox.relay(engine, client, batch_size=10)


def rows_left(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(outbox.table)) or 0


def order(engine: Engine, queue: str, item: str, **options: Any) -> str:
    with Session(engine) as session, session.begin():
        session.add(Order(item=item))
        return outbox.enqueue(session, queue, {"item": item}, **options)


def jobs_of(client: Client, queue: str) -> list[Any]:
    return list(client.search_all(queue=queue, order="asc"))


def test_a_commit_creates_the_job_once(
    engine: Engine, relay: Relay, client: Client, queue: str
) -> None:
    job_id = order(engine, queue, "tea", priority="high", tags={"a": "b"})
    assert jobs_of(client, queue) == []
    assert relay.run_once() == 1
    assert relay.run_once() == 0
    (job,) = jobs_of(client, queue)
    assert (job.id, job.payload, job.priority, job.tags) == (job_id, {"item": "tea"}, 1, {"a": "b"})
    assert rows_left(engine) == 0


def test_a_rollback_creates_no_job(
    engine: Engine, relay: Relay, client: Client, queue: str
) -> None:
    def order_and_fail() -> None:
        with Session(engine) as session, session.begin():
            session.add(Order(item="tea"))
            outbox.enqueue(session, queue, {"item": "tea"})
            raise OSError("the card was refused")

    with pytest.raises(OSError, match="refused"):
        order_and_fail()
    assert relay.run_once() == 0
    assert jobs_of(client, queue) == []


def test_an_open_transaction_is_not_relayed(
    engine: Engine, relay: Relay, client: Client, queue: str
) -> None:
    with Session(engine) as session, session.begin():
        outbox.enqueue(session, queue)
        assert relay.run_once() == 0
    assert relay.run_once() == 1


CRASH = """
import os, sys
from sqlalchemy import create_engine
import corvo_client.outbox.sqlalchemy as module
from corvo_client import Client

module._settle_statements = lambda *_: os._exit(9)
url, server = sys.argv[1:]
module.Outbox().relay(create_engine(url), Client(server)).run_once()
"""


def test_a_relay_that_dies_before_deleting_rows_creates_no_second_job(
    engine: Engine, url: str, relay: Relay, client: Client, queue: str
) -> None:
    job_ids = [order(engine, queue, str(n)) for n in range(5)]
    command = [sys.executable, "-c", CRASH, url, client.base_url]
    died = subprocess.run(command, check=False, timeout=60)
    assert died.returncode == 9
    assert [job.id for job in jobs_of(client, queue)] == job_ids
    assert rows_left(engine) == 5
    # The job may have finished in the meantime.
    fetched = client.fetch([queue], worker_id="w", timeout=0)
    assert fetched is not None
    client.ack(fetched)
    assert relay.run_once() == 5
    assert rows_left(engine) == 0
    assert [(job.id, job.attempt) for job in jobs_of(client, queue)] == [
        (job_id, 1 if job_id == fetched.job_id else 0) for job_id in job_ids
    ]


def test_several_relays_create_each_job_once(engine: Engine, client: Client, queue: str) -> None:
    relays = [outbox.relay(engine, client, batch_size=7, poll_interval=0.01) for _ in range(3)]
    threads = [threading.Thread(target=relay.run) for relay in relays]
    for thread in threads:
        thread.start()
    job_ids = [order(engine, queue, str(n)) for n in range(60)]
    wait_until(lambda: rows_left(engine) == 0)
    for relay in relays:
        relay.stop()
    for thread in threads:
        thread.join(60)
    assert sorted(job.id for job in jobs_of(client, queue)) == sorted(job_ids)


def test_a_row_that_takes_the_number_of_a_deleted_row_is_sent(
    engine: Engine, relay: Relay, client: Client, queue: str
) -> None:
    """SQLite gives a new row of an empty table the number of a row that two relays have read."""
    job_ids = [order(engine, queue, "tea")]
    send = relay._send

    def send_while_another_relay_sends(rows: Any) -> Any:
        outbox.relay(engine, client).run_once()
        job_ids.append(order(engine, queue, "milk"))
        return send(rows)

    relay._send = send_while_another_relay_sends  # type: ignore[method-assign]
    relay.run_once()
    relay._send = send  # type: ignore[method-assign]
    assert relay.run_once() == 1
    assert [job.id for job in jobs_of(client, queue)] == job_ids


async def test_a_row_that_takes_the_number_of_a_deleted_row_is_sent_async(
    engine: Engine, async_engine: AsyncEngine, client: Client, queue: str
) -> None:
    job_ids = [order(engine, queue, "tea")]
    async with AsyncClient(client.base_url) as async_client:
        relay = outbox.relay(async_engine, async_client)
        send = relay._send

        async def send_while_another_relay_sends(rows: Any) -> Any:
            outbox.relay(engine, client).run_once()
            job_ids.append(order(engine, queue, "milk"))
            return await send(rows)

        relay._send = send_while_another_relay_sends  # type: ignore[method-assign]
        await relay.run_once()
        relay._send = send  # type: ignore[method-assign]
        assert await relay.run_once() == 1
    await async_engine.dispose()
    assert [job.id for job in jobs_of(client, queue)] == job_ids


def test_relays_on_postgresql_skip_locked_rows(
    postgres_url: str, client: Client, queue: str
) -> None:
    engine = create_engine(postgres_url)
    Base.metadata.create_all(engine)
    for n in range(4):
        order(engine, queue, str(n))
    relay = outbox.relay(engine, client, batch_size=2)
    other = outbox.relay(engine, client, batch_size=10)
    counts: list[int] = []
    send = relay._send

    def send_while_another_looks(rows: Any) -> Any:
        counts.append(other.run_once())
        return send(rows)

    relay._send = send_while_another_looks  # type: ignore[method-assign]
    assert relay.run_once() == 2
    assert counts == [2]
    engine.dispose()


def test_a_batch_has_the_order_of_the_rows(
    engine: Engine, relay: Relay, client: Client, queue: str
) -> None:
    with Session(engine) as session, session.begin():
        job_ids = [outbox.enqueue(session, queue, n) for n in range(25)]
    assert [relay.run_once() for _ in range(4)] == [10, 10, 5, 0]
    assert [job.id for job in jobs_of(client, queue)] == job_ids


def test_a_rejected_job_does_not_block_the_others(
    engine: Engine,
    relay: Relay,
    client: Client,
    queue: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client.enqueue(queue, unique_key="k")
    with Session(engine) as session, session.begin():
        for n in range(8):
            options: Any = {"unique_key": "k", "on_conflict": "error"} if n == 3 else {}
            outbox.enqueue(session, queue, n, **options)
    assert relay.run_once() == 8
    assert [job.payload for job in jobs_of(client, queue)] == [{}, 0, 1, 2, 4, 5, 6, 7]
    assert "of the outbox: The unique key 'k'" in caplog.text
    assert relay.run_once() == 0
    with engine.connect() as connection:
        (kept,) = connection.execute(select(outbox.table))
    assert "The unique key 'k'" in kept.error


def test_an_error_of_the_whole_request_is_raised_and_changes_nothing(
    engine: Engine, relay: Relay, queue: str
) -> None:
    order(engine, queue, "tea")
    nobody = outbox.relay(engine, Client("http://127.0.0.1:9", retry=NO_RETRIES))
    with pytest.raises(ConnectionFailed):
        nobody.run_once()
    answer = httpx.Response(401, json={"error": "no key", "code": "UNAUTHORIZED"})
    client = Client(transport=httpx.MockTransport(lambda _request: answer))
    with client, pytest.raises(Unauthorized):
        outbox.relay(engine, client).run_once()
    assert rows_left(engine) == 1


def test_large_rows_are_sent_in_several_requests(
    engine: Engine, relay: Relay, client: Client, queue: str
) -> None:
    text = "x" * 200_000
    with Session(engine) as session, session.begin():
        for _ in range(30):
            outbox.enqueue(session, queue, text)
    assert 30 * len(text) > MAX_REQUEST_BYTES
    assert outbox.relay(engine, client).run_once() == 30
    assert client.search(queue=queue, limit=1).total == 30


def test_a_relay_runs_in_the_background_and_waits_for_the_server(
    engine: Engine, queue: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    order(engine, queue, "tea")
    server = LocalServer(tmp_path / "data").start()
    url = server.url
    server.close()
    with Client(url, retry=NO_RETRIES) as client:
        relay = outbox.relay(engine, client, poll_interval=0.01)
        with relay.running():
            wait_until(lambda: "cannot relay the outbox" in caplog.text)
            again = LocalServer(tmp_path / "data", port=int(url.rpartition(":")[2])).start()
            wait_until(lambda: rows_left(engine) == 0)
            order(engine, queue, "coffee")
            wait_until(lambda: rows_left(engine) == 0)
        assert client.search(queue=queue).total == 2
        # The relay can run again after `stop`.
        order(engine, queue, "milk")
        with relay.running():
            wait_until(lambda: rows_left(engine) == 0)
        again.close()


def test_a_delay_starts_at_the_enqueue(
    engine: Engine, relay: Relay, client: Client, queue: str
) -> None:
    order(engine, queue, "tea", delay=3600)
    relay.run_once()
    (job,) = jobs_of(client, queue)
    assert job.state == "scheduled"
    assert 3590 < (job.scheduled_at - job.created_at).total_seconds() <= 3600


def test_requests_of_tasks_can_be_added(
    engine: Engine, relay: Relay, client: Client, queue: str
) -> None:
    worker = Worker()

    @worker.task(queue, max_retries=7)
    async def brew(item: str, cups: int = 1) -> None: ...

    own = new_job_id()
    with Session(engine) as session, session.begin():
        outbox.add(session, brew.request("tea", cups=2))
        outbox.add(session, brew.options(priority="high", job_id=own).request(item="coffee"))
        with pytest.raises(ValidationFailed):
            outbox.enqueue(session, "no spaces")
    relay.run_once()
    tea, coffee = sorted(jobs_of(client, queue), key=lambda job: job.payload["item"], reverse=True)
    assert (tea.payload, tea.max_retries) == ({"item": "tea", "cups": 2}, 7)
    assert (coffee.id, coffee.priority) == (own, 1)


def test_a_connection_and_another_table_name_work(url: str, client: Client, queue: str) -> None:
    engine = create_engine(url)
    other = Outbox(table_name="mail_outbox")
    other.metadata.create_all(engine)
    with engine.begin() as connection:
        other.enqueue(connection, queue)
    assert other.relay(engine, client).run_once() == 1
    engine.dispose()
    assert other.table.name == "mail_outbox"


def test_a_recording_gets_the_jobs_of_a_relay(engine: Engine, queue: str) -> None:
    order(engine, queue, "tea")
    with recording() as jobs, Client() as client:
        outbox.relay(engine, client).run_once()
    jobs.assert_enqueued(queue, item="tea")


def test_an_engine_needs_a_client_of_its_kind(engine: Engine) -> None:
    with pytest.raises(TypeError, match="AsyncEngine and an AsyncClient"):
        outbox.relay(engine, AsyncClient())  # type: ignore[call-overload]


# asyncio


@pytest.fixture
def async_engine(url: str, engine: Engine) -> AsyncEngine:
    if url.startswith("sqlite"):
        pytest.importorskip("aiosqlite")
        return create_async_engine(url.replace("sqlite:", "sqlite+aiosqlite:"))
    return create_async_engine(url)


async def test_asyncio_api(
    async_engine: AsyncEngine,
    engine: Engine,
    outbox_server: LocalServer,
    client: Client,
    queue: str,
) -> None:
    sessions = async_sessions(async_engine)
    async with sessions() as session, session.begin():
        session.add(Order(item="tea"))
        job_id = await outbox.aenqueue(session, queue, {"item": "tea"})
    async with sessions() as session:
        await outbox.aenqueue(session, queue)
        await session.rollback()
    async with AsyncClient(outbox_server.url) as own:
        relay = outbox.relay(async_engine, own, poll_interval=0.01)
        assert isinstance(relay, AsyncRelay)
        assert await relay.run_once() == 1
        assert await relay.run_once() == 0
        for _ in range(2):
            async with relay.running():
                async with async_engine.begin() as connection:
                    await outbox.aenqueue(connection, queue)
                await asyncio.to_thread(wait_until, lambda: rows_left(engine) == 0)
    assert client.get_job(job_id).payload == {"item": "tea"}
    assert client.search(queue=queue).total == 3
    await async_engine.dispose()


async def test_an_async_relay_finds_rejected_rows_and_continues(
    async_engine: AsyncEngine,
    outbox_server: LocalServer,
    client: Client,
    queue: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client.enqueue(queue, unique_key="k")
    async with async_engine.begin() as connection:
        for n in range(3):
            options: Any = {"unique_key": "k", "on_conflict": "error"} if n == 1 else {}
            await outbox.aenqueue(connection, queue, n, **options)
        await outbox.aenqueue(connection, queue, "x" * 250_000)
    async with AsyncClient("http://127.0.0.1:9", retry=NO_RETRIES) as nobody:
        relay = outbox.relay(async_engine, nobody)
        async with relay.running():
            await asyncio.to_thread(wait_until, lambda: "cannot relay the outbox" in caplog.text)
    async with AsyncClient(outbox_server.url) as own:
        assert await outbox.relay(async_engine, own).run_once() == 4
    assert client.search(queue=queue).total == 4
    await async_engine.dispose()


def wait_until(is_true: Any) -> None:
    ends_at = time.monotonic() + 60
    while not is_true():
        assert time.monotonic() < ends_at
        time.sleep(0.01)


def test_the_table_belongs_to_the_applications_metadata() -> None:
    metadata = MetaData()
    assert Outbox(metadata).table is metadata.tables["corvo_outbox"]
    assert logging.getLogger("corvo.outbox")


def test_rows_are_encrypted(tmp_path: Path, outbox_server: LocalServer) -> None:
    pytest.importorskip("cryptography")
    codec = EncryptionCodec({"k": bytes(32)})
    encrypting = Outbox(MetaData(), codec=codec)
    engine = create_engine(f"sqlite:///{tmp_path / 'encrypted.db'}")
    encrypting.metadata.create_all(engine)
    with engine.begin() as connection:
        job_id = encrypting.enqueue(connection, "encrypted", {"item": "Zebra-tea"}, delay=5)
        (body,) = connection.execute(select(encrypting.table.c.body)).scalars()
    assert "Zebra" not in body
    assert b"Zebra" not in (tmp_path / "encrypted.db").read_bytes()
    with Client(outbox_server.url, codec=False) as client:
        encrypting.relay(engine, client).run_once()
        assert "$corvo_encrypted" in client.get_job(job_id).payload
    with engine.begin() as connection:
        second = encrypting.enqueue(connection, "encrypted", {"item": 2})
    with Client(outbox_server.url, codec=codec) as client, recording() as jobs:
        encrypting.relay(engine, client).run_once()
        jobs.assert_enqueued("encrypted", {"item": 2})
    with Client(outbox_server.url, codec=codec) as client:
        assert client.get_job(job_id).payload == {"item": "Zebra-tea"}
    assert second != job_id
    engine.dispose()
