"""Permissions of the data directory and its files: only the user of the server has any."""

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from corvo_server.store.sqlite import backup, permissions
from corvo_server.store.sqlite.database import DATABASE_NAME, open_reader, open_writer
from corvo_server.store.sqlite.store import SqliteStore
from corvo_server.store.sqlite.transfer import SqliteTarget

OPEN_FILES = {"corvo.db", "corvo.db-wal", "corvo.db-shm", "corvo.lock"}


@pytest.fixture(params=[0o022, 0o000], ids=["umask 022", "umask 000"], autouse=True)
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    """Return the permissions of the files in `folder`, by name."""
    return {path.name: mode(path) for path in folder.iterdir()}


def mode(path: Path) -> int:
    """Return the permissions of a file or directory."""
    return stat.S_IMODE(path.stat().st_mode)


def set_mode(path: Path, mode: int) -> None:
    """Set the permissions of a file or directory."""
    path.chmod(mode)


def share(data_dir: Path) -> None:
    """Make a data directory readable for all users, as older servers did."""
    data_dir.chmod(0o755)
    for path in data_dir.iterdir():
        path.chmod(0o644)


def private(names: set[str]) -> dict[str, int]:
    """Return what `modes` returns for private files with these names."""
    return dict.fromkeys(names, 0o600)


async def test_new_data_dir_is_private(tmp_path: Path) -> None:
    data_dir = tmp_path / "a" / "data"
    store = SqliteStore(data_dir)
    assert mode(data_dir) == 0o700
    assert modes(data_dir) == private(OPEN_FILES)
    await store.close()


async def test_existing_data_dir_is_made_private_at_the_start(tmp_path: Path) -> None:
    before = SqliteStore(tmp_path)
    backup.back_up(tmp_path, tmp_path / "monday.db")
    share(tmp_path)
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as holder:  # as after a crash
        holder.execute("SELECT count(*) FROM jobs").fetchone()
        await before.close()
        store = SqliteStore(tmp_path)
        assert mode(tmp_path) == 0o700
        assert modes(tmp_path) == private({*OPEN_FILES, "monday.db"})
        await store.close()


async def test_special_bits_of_the_data_dir_are_kept(tmp_path: Path) -> None:
    set_mode(tmp_path, 0o2775)  # as Kubernetes makes volumes
    await SqliteStore(tmp_path).close()
    assert mode(tmp_path) == 0o2700


async def test_shared_directory_is_left_as_it_is(tmp_path: Path) -> None:
    set_mode(tmp_path, 0o1777)  # as /tmp
    store = SqliteStore(tmp_path)
    assert mode(tmp_path) == 0o1777
    assert modes(tmp_path) == private(OPEN_FILES)
    await store.close()


async def test_what_another_user_owns_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await SqliteStore(tmp_path).close()
    set_mode(tmp_path, 0o750)
    set_mode(tmp_path / DATABASE_NAME, 0o640)
    monkeypatch.setattr(permissions, "geteuid", lambda: os.geteuid() + 1)
    store = SqliteStore(tmp_path)
    assert (mode(tmp_path), mode(tmp_path / DATABASE_NAME)) == (0o750, 0o640)
    await store.close()


async def test_server_starts_where_permissions_cannot_be_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(path: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    set_mode(tmp_path, 0o755)
    monkeypatch.setattr(Path, "chmod", refuse)
    await SqliteStore(tmp_path).close()
    (record,) = caplog.records
    assert (record.levelname, str(tmp_path) in record.message) == ("WARNING", True)


async def test_backup_and_restored_database_are_private(tmp_path: Path) -> None:
    data_dir, copy, other = tmp_path / "data", tmp_path / "copy.db", tmp_path / "other"
    await SqliteStore(data_dir).close()
    backup.back_up(data_dir, copy)
    assert mode(copy) == 0o600
    copy.chmod(0o644)  # a backup of an older version
    backup.restore(copy, other, may_replace=False)
    assert (mode(other), modes(other)) == (0o700, private({"corvo.db", "corvo.lock"}))
    backup.vacuum(other)
    assert modes(other) == private({"corvo.db", "corvo.lock"})


def test_copy_is_private_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    connect = sqlite3.connect

    def note(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute("PRAGMA user_version")
        seen.append(mode(path))
        return connection

    open_writer(tmp_path / "source.db").close()
    with closing(open_reader(tmp_path / "source.db")) as reader:
        monkeypatch.setattr(sqlite3, "connect", note)
        backup._copy(reader, tmp_path / "copy.db")
    assert seen == [0o600]


def test_target_of_a_transfer_is_private(tmp_path: Path) -> None:
    target = SqliteTarget(tmp_path / "target")
    assert mode(tmp_path / "target") == 0o700
    assert modes(tmp_path / "target") == private(OPEN_FILES)
    target.close()
