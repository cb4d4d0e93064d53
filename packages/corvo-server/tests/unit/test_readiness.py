"""Readiness: it says when commits, checkpoints or the data directory fail, and when they recover.

The measures of the disk are tested here, too.
"""

import errno
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from corvo_server.engine.engine import Engine
from corvo_server.services.prober import Prober
from corvo_server.store.protocol import StoreUnavailable
from corvo_server.store.sqlite import watch as watch_module
from corvo_server.store.sqlite.database import DATABASE_NAME, LOCK_NAME
from corvo_server.store.sqlite.files import DataFiles
from corvo_server.store.sqlite.readers import Readers
from corvo_server.store.sqlite.store import SqliteStore
from corvo_server.store.sqlite.watch import Watch
from server_support.bench import Bench, make_job
from server_support.http import HttpServer, serve


@pytest.fixture
async def server(bench: Bench) -> AsyncIterator[HttpServer]:
    async with serve(bench.engine) as server:
        yield server


async def reason_of(server: HttpServer) -> str:
    """Return why the server is not ready; an empty text if it is."""
    reply = await server.call("GET", "/readyz")
    assert (await server.call("GET", "/healthz")).status == 200
    if reply.status == 200:
        return ""
    assert (reply.status, reply.json["code"]) == (503, "UNAVAILABLE")
    return str(reply.json["error"])


async def test_server_is_not_ready_after_a_failed_commit(bench: Bench, server: HttpServer) -> None:
    assert await reason_of(server) == ""
    with bench.kit.break_commits(bench.store):
        assert (await server.post("/enqueue", {"queue": "mail"})).status == 503
        assert "disk is full" in await reason_of(server)
    assert (await server.post("/enqueue", {"queue": "mail"})).status == 201
    assert await reason_of(server) == ""


async def test_commit_that_writes_nothing_does_not_make_the_server_ready(
    bench: Bench, server: HttpServer
) -> None:
    with bench.kit.break_commits(bench.store, times=1):
        assert (await server.post("/enqueue", {"queue": "mail"})).status == 503
        assert await bench.fetch("mail") == []
        assert "disk is full" in await reason_of(server)


async def test_refused_request_does_not_make_the_server_unready(
    bench: Bench, server: HttpServer
) -> None:
    assert (await server.post("/ack/job_none", {})).status == 404
    assert await reason_of(server) == ""


async def test_server_without_traffic_becomes_ready_again(bench: Bench, server: HttpServer) -> None:
    prober = Prober(bench.store, 0)
    await prober.wait()
    assert await prober.run_once() == 0
    with bench.kit.break_commits(bench.store):
        assert (await server.post("/enqueue", {"queue": "mail"})).status == 503
        assert await prober.run_once() == 1
        assert "disk is full" in await reason_of(server)
    assert await prober.run_once() == 1
    assert await reason_of(server) == ""
    assert await prober.run_once() == 0


# The watch of SQLite's files


class Watched:
    """A store, and a watch of its files whose clock the test moves."""

    def __init__(self, data_dir: Path) -> None:
        self.now = 1000.0
        self.store = SqliteStore(data_dir)
        self.engine = Engine(self.store)
        files = DataFiles(data_dir / DATABASE_NAME, data_dir / LOCK_NAME)
        self.readers = Readers(files, 1)
        self.watch = Watch(files, [self.readers], lambda: self.now)
        self.watch.look()

    def look_after(self, seconds: float) -> None:
        self.now += seconds
        self.watch.look()

    async def write(self, jobs: int = 1) -> None:
        for _ in range(jobs):
            await self.engine.jobs.enqueue(*make_job(payload="x" * 10_000))

    async def close(self) -> None:
        await self.readers.close()
        self.watch.close()
        await self.store.close()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def watched(data_dir: Path) -> AsyncIterator[Watched]:
    watched = Watched(data_dir)
    yield watched
    await watched.close()


@contextmanager
def _reading(data_dir: Path) -> Iterator[None]:
    """Hold a snapshot of the database in another connection."""
    with closing(sqlite3.connect(data_dir / DATABASE_NAME, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM jobs").fetchone()
        yield


def test_idle_server_probes_the_data_directory(watched: Watched, data_dir: Path) -> None:
    (data_dir / "corvo.probe").mkdir()  # so that the file cannot be written
    watched.look_after(9)
    assert watched.watch.problem() is None
    watched.look_after(1)
    assert "the data directory cannot be written" in (watched.watch.problem() or "")
    (data_dir / "corvo.probe").rmdir()
    watched.look_after(1)
    assert watched.watch.problem() is None
    assert not (data_dir / "corvo.probe").exists()


async def test_busy_server_does_not_probe(watched: Watched, data_dir: Path) -> None:
    (data_dir / "corvo.probe").mkdir()
    for _ in range(15):
        await watched.write()
        watched.look_after(1)
    assert watched.watch.problem() is None


def test_full_disk_is_found_by_a_short_write(
    watched: Watched, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "write", lambda _descriptor, _data: 4096)
    watched.look_after(10)
    assert os.strerror(errno.ENOSPC) in (watched.watch.problem() or "")
    assert not (data_dir / "corvo.probe").exists()


async def test_reason_of_the_watch_is_that_of_the_store(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    await watched.store.check_ready()
    monkeypatch.setattr(watched.store.watch, "problem", lambda: "the disk is on fire")
    with pytest.raises(StoreUnavailable, match="on fire"):
        await watched.store.check_ready()
    await watched.store.check()


async def test_failing_checkpoints_make_the_server_unready(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints: Any = watched.watch._checkpoints
    real, checkpoints._connection = checkpoints._connection, _FailingConnection()
    await watched.write()
    watched.look_after(10)
    assert watched.watch.problem() is None
    await watched.write()
    watched.look_after(31)
    assert "checkpoints have failed for 31 s: disk I/O error" in (watched.watch.problem() or "")
    assert watched.watch.storage.failed_checkpoints == 2
    assert len([line for line in caplog.messages if "a checkpoint failed" in line]) == 1
    checkpoints._connection = real
    watched.look_after(10)
    assert watched.watch.problem() is None
    assert watched.watch.storage.failed_checkpoints == 2


class _FailingConnection:
    def execute(self, statement: str) -> Any:
        raise sqlite3.OperationalError("disk I/O error")


def test_disk_that_does_not_answer_makes_the_server_unready(watched: Watched) -> None:
    watched.now += 16
    assert "has not answered for 16 s" in (watched.watch.problem() or "")
    watched.watch.look()
    assert watched.watch.problem() is None


async def test_reader_that_holds_back_the_log_is_reported(
    watched: Watched,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(watch_module, "_LARGE_LOG", 100_000)
    monkeypatch.setattr(watch_module, "_CHECKPOINT_BYTES", 50_000)
    await watched.write()
    with _reading(data_dir):
        await watched.write(30)
        for _ in range(5):
            watched.look_after(1)
        storage = watched.watch.storage
        assert storage.log_bytes > 300_000
        assert storage.oldest_reader_seconds >= 3
        (line,) = [line for line in caplog.messages if "a reader has held back" in line]
        assert "MB and grows with every write" in line
    watched.look_after(1)
    await watched.write()
    watched.look_after(1)
    assert watched.watch.storage.oldest_reader_seconds == 0


async def test_log_that_was_removed_is_saved_to_the_database(
    watched: Watched, data_dir: Path
) -> None:
    await watched.write(5)
    (data_dir / f"{DATABASE_NAME}-wal").unlink()
    watched.look_after(1)
    without_log = f"{(data_dir / DATABASE_NAME).as_uri()}?immutable=1"
    with closing(sqlite3.connect(without_log, uri=True)) as connection:
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (5,)


async def test_own_read_has_an_age(watched: Watched) -> None:
    ages: list[float] = []
    await watched.readers.run(lambda _: ages.append(watched.readers.oldest_read()))
    assert ages[0] > 0
    assert watched.readers.oldest_read() == 0


def test_low_disk_is_logged(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watch_module, "_LOW_DISK", 2**63)
    for _ in range(3):
        watched.look_after(1)
    assert len([line for line in caplog.messages if "MB free" in line]) == 1
    watched.look_after(60)
    assert len([line for line in caplog.messages if "MB free" in line]) == 2


@pytest.mark.sqlite
async def test_measures_are_metrics(bench: Bench, server: HttpServer) -> None:
    await server.post("/enqueue", {"queue": "mail"})
    text = (await server.get("/metrics")).body.decode()
    values = {
        line.split()[0]: float(line.split()[1])
        for line in text.splitlines()
        if not line.startswith("#")
    }
    assert values["corvo_database_bytes"] > 0
    assert values["corvo_wal_bytes"] > 0
    assert values["corvo_disk_free_bytes"] > 0
    assert values["corvo_oldest_reader_seconds"] >= 0
    assert values["corvo_checkpoint_failures_total"] == 0
    assert values["corvo_commit_sync_seconds_count"] >= 1
    assert values["corvo_commit_sync_seconds_sum"] > 0
