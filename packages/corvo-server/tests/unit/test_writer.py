"""The writer's thread: the size of its commits, and its behaviour on failures."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from corvo_schema import new_job_id
from corvo_schema.states import EventType, JobState
from corvo_server.store.commit.session import Verb
from corvo_server.store.commit.transaction import Transaction
from corvo_server.store.commit.writes import ENQUEUE
from corvo_server.store.protocol import OutcomeUnknown, StoreUnavailable
from corvo_server.store.records import Claim, Enqueue, LeasedJob, NewJob
from corvo_server.store.sqlite.database import DATABASE_NAME
from corvo_server.store.sqlite.store import SqliteStore
from server_support.bench import QUEUE, Bench, turns
from server_support.clock import ManualClock
from server_support.kits import SqliteKit
from server_support.unknown_outcomes import FailingCommits


@pytest.fixture
def kit(tmp_path: Path) -> SqliteKit:
    """These tests are about the writer on SQLite only."""
    return SqliteKit(tmp_path)


@pytest.fixture
async def store(kit: SqliteKit) -> AsyncIterator[Any]:
    store = kit.open(max_commit=3)
    yield store
    await store.close()


def new_job() -> Enqueue:
    return Enqueue((NewJob(new_job_id(), QUEUE, JobState.PENDING, "{}", 1),))


async def test_commit_takes_at_most_max_commit_operations(bench: Bench) -> None:
    with bench.kit.hold_commits(bench.store):
        calls = [asyncio.ensure_future(bench.enqueue()) for _ in range(8)]
        await turns()
    job_ids = await asyncio.gather(*calls)
    sizes = [len(commit.events) for commit in bench.commits]
    assert sizes == [0, 3, 3, 2]  # the first, empty commit delayed the others
    assert await bench.fetch_ids() == job_ids


async def test_operations_submitted_together_share_one_commit(bench: Bench) -> None:
    with bench.kit.hold_commits(bench.store):
        alone = [asyncio.ensure_future(bench.enqueue()) for _ in range(2)]
        await turns()
        writer = bench.store._writer  # type: ignore[attr-defined]
        with writer.together():
            calls = [writer.submit(ENQUEUE, new_job()) for _ in range(5)]
    await asyncio.gather(*alone, *calls)
    sizes = [len(commit.events) for commit in bench.commits]
    assert sizes == [0, 2 + 5]  # more than max_commit, because the five must not be split


async def test_operations_submitted_before_a_failure_are_written(bench: Bench) -> None:
    first: list[asyncio.Future[Any]] = []

    def submit_and_fail() -> None:
        writer = bench.store._writer  # type: ignore[attr-defined]
        with writer.together():
            first.append(writer.submit(ENQUEUE, new_job()))
            raise RuntimeError("in between")

    with pytest.raises(RuntimeError, match="in between"):
        submit_and_fail()
    await asyncio.gather(*first)
    await bench.enqueue()
    assert bench.kit.count_rows("jobs") == 2


async def test_waiting_fetch_shares_the_commit_of_its_job_with_any_writer_speed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = bench.store.fetch
    inbox = bench.store._writer._inbox  # type: ignore[attr-defined]

    def fetch_late(claim: Claim) -> asyncio.Future[list[LeasedJob]]:
        while not inbox.empty():  # let the writer take all operations submitted so far
            time.sleep(0)
        return fetch(claim)

    waiting = await bench.waiting()
    bench.commits.clear()
    monkeypatch.setattr(bench.store, "fetch", fetch_late)
    job_id = await bench.enqueue()
    (job,) = await waiting
    assert job.head.id == job_id
    assert [[event.type for event in commit.events] for commit in bench.commits] == [
        [EventType.ENQUEUED, EventType.STARTED]
    ]


async def test_single_call_is_committed_at_once(bench: Bench) -> None:
    for _ in range(3):
        await bench.enqueue()
    assert [[event.type for event in commit.events] for commit in bench.commits] == [
        [EventType.ENQUEUED]
    ] * 3


async def test_database_locked_by_another_process_is_unavailable(
    bench: Bench, kit: SqliteKit
) -> None:
    bench.store._writer._session._connection.execute("PRAGMA busy_timeout = 10")  # type: ignore[attr-defined]
    with closing(sqlite3.connect(kit.data_dir / DATABASE_NAME)) as other:
        other.execute("BEGIN IMMEDIATE")
        calls = [asyncio.ensure_future(bench.enqueue()) for _ in range(3)]
        failed = await asyncio.gather(*calls, return_exceptions=True)
        other.execute("ROLLBACK")
    assert [type(error) for error in failed] == [StoreUnavailable] * 3
    assert "locked" in str(failed[0])
    await bench.enqueue()
    assert bench.kit.count_rows("jobs") == 1


async def test_commit_that_sqlite_rolled_back_is_reported_as_failed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = bench.store._writer._session  # type: ignore[attr-defined]
    real = session._connection

    class Rolling:
        """A connection whose disk is full: SQLite then rolls back automatically."""

        in_transaction = False

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def execute(self, statement: str, *values: Any) -> Any:
            if statement == "COMMIT":
                real.execute("ROLLBACK")
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error
            return real.execute(statement, *values)

    with monkeypatch.context() as patch:
        patch.setattr(session, "_connection", Rolling())
        with pytest.raises(StoreUnavailable, match="disk is full"):
            await bench.enqueue()
    await bench.enqueue()
    assert bench.kit.count_rows("jobs") == 1


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (sqlite3.SQLITE_FULL, StoreUnavailable),
        (sqlite3.SQLITE_IOERR_WRITE, StoreUnavailable),
        (sqlite3.SQLITE_IOERR_FSYNC, OutcomeUnknown),
        (sqlite3.SQLITE_IOERR_SHMSIZE, OutcomeUnknown),
        (sqlite3.SQLITE_NOMEM, OutcomeUnknown),
        (sqlite3.SQLITE_ERROR, OutcomeUnknown),
    ],
)
async def test_error_of_a_commit_tells_whether_the_log_may_have_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, code: int, error: type[Exception]
) -> None:
    session = bench.store._writer._session  # type: ignore[attr-defined]
    failing = FailingCommits(session._connection, code, are_stored=False)
    with monkeypatch.context() as patch:
        patch.setattr(session, "_connection", failing)
        with pytest.raises(error):
            await bench.enqueue()
    await bench.enqueue()
    assert bench.kit.count_rows("jobs") == 1


async def test_bug_in_a_verb_is_not_reported_as_store_unavailable(bench: Bench) -> None:
    def fail(_tx: Transaction, _requests: list[Any]) -> list[Any]:
        raise sqlite3.IntegrityError("UNIQUE constraint failed")

    with pytest.raises(sqlite3.IntegrityError):
        await bench.store._writer.submit(Verb(0, fail), None)  # type: ignore[attr-defined]
    await bench.enqueue()


def test_reply_after_the_end_of_the_event_loop_is_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    is_writing, gate = threading.Event(), threading.Event()
    store = SqliteStore(tmp_path)

    def block(_: Transaction, requests: list[Any]) -> list[Any]:
        is_writing.set()
        gate.wait()
        return requests

    async def submit() -> None:
        store._writer.submit(Verb(0, block), None)

    asyncio.run(submit())
    is_writing.wait()
    gate.set()
    asyncio.run(store.close())
    assert "the event loop is closed" in caplog.text


async def test_store_that_was_never_used_closes(kit: SqliteKit, clock: ManualClock) -> None:
    await kit.open().close()
    bench = Bench(kit, kit.open(), clock)
    assert await bench.store.find_job("job_x") is None
    await bench.store.check()
    await bench.store.close()
