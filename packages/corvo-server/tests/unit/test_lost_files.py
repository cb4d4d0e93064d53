"""Files that are removed or replaced under the running server: no write is acknowledged."""

import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from corvo_server.engine.engine import Engine
from corvo_server.store.protocol import OutcomeUnknown, StoreUnavailable
from corvo_server.store.sqlite import backup
from corvo_server.store.sqlite.database import DATABASE_NAME, DataDirLockedError
from corvo_server.store.sqlite.store import SqliteStore
from server_support.bench import make_job
from server_support.http import HttpServer, serve

_LOG = f"{DATABASE_NAME}-wal"
_INDEX = f"{DATABASE_NAME}-shm"
_LOCK = "corvo.lock"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def store(data_dir: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(data_dir)
    yield store
    await store.close()


@pytest.fixture
async def server(store: SqliteStore) -> AsyncIterator[HttpServer]:
    async with serve(Engine(store)) as server:
        yield server


def remove_directory(data_dir: Path) -> None:
    shutil.rmtree(data_dir)


def remove_and_create_directory(data_dir: Path) -> None:
    shutil.rmtree(data_dir)
    data_dir.mkdir()


def move_directory(data_dir: Path) -> None:
    data_dir.rename(data_dir.with_name("moved"))


def replace_directory_by_a_copy(data_dir: Path) -> None:
    shutil.copytree(data_dir, data_dir.with_name("copy"))
    data_dir.rename(data_dir.with_name("moved"))
    data_dir.with_name("copy").rename(data_dir)


def replace_database_by_a_copy(data_dir: Path) -> None:
    shutil.copy(data_dir / DATABASE_NAME, data_dir / "copy")
    (data_dir / "copy").replace(data_dir / DATABASE_NAME)


def remove(name: str) -> Callable[[Path], None]:
    def remove_file(data_dir: Path) -> None:
        (data_dir / name).unlink()

    return remove_file


CASES = [
    pytest.param(remove_directory, "database file", id="directory removed"),
    pytest.param(remove_and_create_directory, "database file", id="directory created again"),
    pytest.param(move_directory, "database file", id="directory moved"),
    pytest.param(replace_directory_by_a_copy, "database file", id="directory replaced"),
    pytest.param(replace_database_by_a_copy, "database file", id="database replaced"),
    pytest.param(remove(DATABASE_NAME), "database file", id="database removed"),
    pytest.param(remove(_LOG), "write-ahead log", id="log removed"),
    pytest.param(remove(_INDEX), "index of the write-ahead log", id="index removed"),
    pytest.param(remove(_LOCK), "lock file", id="lock removed"),
]


@pytest.mark.parametrize(("break_files", "what"), CASES)
async def test_writes_are_refused(
    data_dir: Path, server: HttpServer, break_files: Callable[[Path], None], what: str
) -> None:
    assert (await server.post("/enqueue", {"queue": "mail"})).status == 201
    break_files(data_dir)
    for _ in range(50):
        reply = await server.post("/enqueue", {"queue": "mail"})
        assert (reply.status, reply.json["code"]) == (503, "UNAVAILABLE")
        assert f"the {what} was removed or replaced" in reply.json["error"]
    ready = await server.call("GET", "/readyz")
    assert (ready.status, ready.json["code"]) == (503, "UNAVAILABLE")
    assert f"the {what} was removed or replaced" in ready.json["error"]


@pytest.mark.parametrize(("break_files", "what"), CASES)
async def test_write_during_which_the_files_are_lost_is_not_acknowledged(
    data_dir: Path,
    store: SqliteStore,
    monkeypatch: pytest.MonkeyPatch,
    break_files: Callable[[Path], None],
    what: str,
) -> None:
    engine = Engine(store)
    await engine.jobs.enqueue(*make_job())
    session: Any = store._writer._session
    commit = session.commit

    def lose_and_commit(tx: object) -> object:
        break_files(data_dir)
        return commit(tx)

    monkeypatch.setattr(session, "commit", lose_and_commit)
    with pytest.raises(StoreUnavailable, match=f"the {what} was removed or replaced"):
        await engine.jobs.enqueue(*make_job())


@pytest.mark.parametrize(("break_files", "what"), CASES)
async def test_outcome_is_unknown_if_the_files_are_lost_during_the_commit(
    data_dir: Path, store: SqliteStore, break_files: Callable[[Path], None], what: str
) -> None:
    engine = Engine(store)
    await engine.jobs.enqueue(*make_job())
    session: Any = store._writer._session
    real = session._connection

    class Losing:
        """A connection during whose COMMIT the files are lost."""

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def execute(self, statement: str, *values: Any) -> Any:
            done = real.execute(statement, *values)
            if statement == "COMMIT":
                break_files(data_dir)
            return done

    session._connection = Losing()
    with pytest.raises(OutcomeUnknown, match=f"the {what} was removed or replaced"):
        await engine.jobs.enqueue(*make_job())
    session._connection = real
    with pytest.raises(StoreUnavailable, match=f"the {what} was removed or replaced"):
        await engine.jobs.enqueue(*make_job())


async def test_writes_work_again_when_the_same_file_is_back(
    data_dir: Path, store: SqliteStore
) -> None:
    engine = Engine(store)
    await engine.jobs.enqueue(*make_job())
    (data_dir / DATABASE_NAME).rename(data_dir / "moved")
    with pytest.raises(StoreUnavailable, match="removed or replaced"):
        await engine.jobs.enqueue(*make_job())
    (data_dir / "moved").rename(data_dir / DATABASE_NAME)
    await engine.jobs.enqueue(*make_job())
    await store.check_ready()


async def test_loss_is_logged_once(
    data_dir: Path, store: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    (data_dir / DATABASE_NAME).rename(data_dir / "moved")
    for _ in range(3):
        store.watch.look()
    (data_dir / "moved").rename(data_dir / DATABASE_NAME)
    store.watch.look()
    lines = [record.getMessage() for record in caplog.records if "watch" in record.name]
    assert len([line for line in lines if "removed or replaced" in line]) == 1


async def test_second_server_is_refused_after_the_lock_file_was_removed(data_dir: Path) -> None:
    store = SqliteStore(data_dir)
    (data_dir / _LOCK).unlink()
    with pytest.raises(DataDirLockedError, match="Another corvo-server"):
        SqliteStore(data_dir)
    assert not (data_dir / _LOCK).exists()
    await store.close()
    await SqliteStore(data_dir).close()


async def test_close_leaves_the_files_of_the_next_server_alone(data_dir: Path) -> None:
    old = SqliteStore(data_dir)
    await Engine(old).jobs.enqueue(*make_job())
    shutil.rmtree(data_dir)
    new = SqliteStore(data_dir)
    job = await Engine(new).jobs.enqueue(*make_job())
    await old.close()
    assert (data_dir / _LOG).exists()
    assert await new.find_job(job.job_id) is not None
    await Engine(new).jobs.enqueue(*make_job())
    await new.close()
    assert backup.check(data_dir) == []


async def test_close_keeps_the_log_of_a_replaced_database(data_dir: Path) -> None:
    store = SqliteStore(data_dir)
    job = await Engine(store).jobs.enqueue(*make_job())
    replace_database_by_a_copy(data_dir)
    await store.close()
    again = SqliteStore(data_dir)  # it applies the log to the copy
    assert await again.find_job(job.job_id) is not None
    await again.close()


async def test_reader_does_not_open_another_database(data_dir: Path, store: SqliteStore) -> None:
    replace_database_by_a_copy(data_dir)
    with pytest.raises(StoreUnavailable, match="removed or replaced"):
        await store.find_job("job_x")
