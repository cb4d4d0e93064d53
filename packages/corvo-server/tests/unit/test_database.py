"""Opening the SQLite database: the lock, the settings and the migrations."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from corvo_server.store.migrate import Migration, NewerSchemaError
from corvo_server.store.protocol import StoreUnavailable
from corvo_server.store.sqlite import database
from corvo_server.store.sqlite.database import (
    DATABASE_NAME,
    DataDirLockedError,
    UnusableDatabaseError,
    lock_data_dir,
    open_reader,
    open_writer,
)
from corvo_server.store.sqlite.store import SqliteStore


def test_writer_is_durable_and_strict(tmp_path: Path) -> None:
    with closing(open_writer(tmp_path / "a.db")) as connection:
        settings = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_reader_cannot_write(tmp_path: Path) -> None:
    with (
        closing(open_writer(tmp_path / "a.db")),
        closing(open_reader(tmp_path / "a.db")) as reader,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        reader.execute("DELETE FROM jobs")


def test_migrations_are_recorded_and_not_repeated(tmp_path: Path) -> None:
    for _ in range(2):
        with closing(open_writer(tmp_path / "a.db")) as connection:
            rows = connection.execute("SELECT version, name FROM schema_migrations").fetchall()
            assert rows[0] == (1, "initial")
            assert [version for version, _ in rows] == list(range(1, len(rows) + 1))


def test_migration_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = database.load_migrations

    def with_a_bad_one(package: str) -> list[Migration]:
        migrations = real(package)
        number = len(migrations) + 1
        script = "CREATE TABLE half (x); CREATE TABLE half (x);"
        return [*migrations, migrations[0]._replace(version=number, name="bad", script=script)]

    with monkeypatch.context() as patch:
        patch.setattr(database, "load_migrations", with_a_bad_one)
        with pytest.raises(UnusableDatabaseError, match="half already exists"):
            open_writer(tmp_path / "a.db")
    with closing(open_writer(tmp_path / "a.db")) as connection:
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE name = 'half'").fetchall()
        names = connection.execute("SELECT name FROM schema_migrations").fetchall()
    assert tables == []
    assert ("bad",) not in names


async def test_database_of_a_newer_server_is_refused(tmp_path: Path) -> None:
    await SqliteStore(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (999, 'from the future', 0)")
        connection.commit()
    before = (tmp_path / DATABASE_NAME).read_bytes()
    with pytest.raises(NewerSchemaError, match=r"schema version 999.*newer corvo-server"):
        SqliteStore(tmp_path)
    assert (tmp_path / DATABASE_NAME).read_bytes() == before
    lock_data_dir(tmp_path).release()  # the store that failed to open has released its lock


async def test_second_server_on_a_data_dir_is_refused(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    with pytest.raises(DataDirLockedError) as caught:
        SqliteStore(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "--data-dir" in str(caught.value)
    await store.check()
    await store.close()


async def test_lock_is_free_after_the_close(tmp_path: Path) -> None:
    for _ in range(3):
        await SqliteStore(tmp_path).close()


async def test_data_dir_is_created(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "a" / "b")
    await store.close()
    assert (tmp_path / "a" / "b" / DATABASE_NAME).exists()


async def test_closed_store_leaves_no_write_ahead_log(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    await store.find_job("job_x")
    await store.close()
    assert not (tmp_path / f"{DATABASE_NAME}-wal").exists()


async def test_file_that_is_not_a_database_is_refused_with_a_message(tmp_path: Path) -> None:
    (tmp_path / DATABASE_NAME).write_bytes(b"this is no database" * 1000)
    with pytest.raises(UnusableDatabaseError, match="not a database"):
        SqliteStore(tmp_path)
    lock_data_dir(tmp_path).release()


async def test_store_whose_file_was_moved_is_unavailable(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    await store.check()
    (tmp_path / DATABASE_NAME).rename(tmp_path / "moved.db")
    with pytest.raises(StoreUnavailable, match="does not exist any more"):
        await store.check()
    (tmp_path / "moved.db").rename(tmp_path / DATABASE_NAME)
    await store.check()
    await store.close()


async def test_database_that_cannot_be_read_is_unavailable(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)

    def read(connection: sqlite3.Connection) -> None:
        connection.execute("SELECT * FROM nothing_of_that_name")

    with pytest.raises(StoreUnavailable, match="nothing_of_that_name"):
        await store._readers.run(read)
    await store.check()
    await store.close()


async def test_cause_of_a_failed_read_is_reported_if_sqlite_has_ended_the_transaction(
    tmp_path: Path,
) -> None:
    store = SqliteStore(tmp_path)

    def read(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")  # as SQLite does after some errors of the disk
        raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(StoreUnavailable, match="disk I/O error"):
        await store._readers.run(read)
    await store.check()
    await store.close()


async def test_failed_checkpoint_does_not_prevent_the_close(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = SqliteStore(tmp_path)
    store._writer._session._connection.close()
    await store.close()
    assert "could not checkpoint" in caplog.text
    await SqliteStore(tmp_path).close()


def test_data_dir_that_cannot_be_created_raises_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        SqliteStore(tmp_path / "file" / "data")
