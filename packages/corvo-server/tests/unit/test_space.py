"""The space that jobs may take, and the reserve of a full disk. The tests set the free space."""

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from corvo_server.store.sqlite import reserve as reserve_module
from corvo_server.store.sqlite import space as space_module
from corvo_server.store.sqlite.database import DATABASE_NAME, open_writer
from corvo_server.store.sqlite.reserve import RESERVE_NAME, Reserve
from corvo_server.store.sqlite.space import Disk, DiskFullError, Space

MIB = 1024 * 1024
GIB = 1024 * MIB


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / DATABASE_NAME


@pytest.fixture
def connection(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_writer(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        yield connection


def space_of(database: Path, free: int, total: int = 100 * GIB) -> Space:
    return Space(database, lambda: Disk(total, free))


@pytest.mark.parametrize(
    ("total", "floor"), [(100 * GIB, 64 * MIB), (512 * MIB, 64 * MIB), (64 * MIB, 8 * MIB)]
)
def test_new_jobs_leave_a_floor(
    database: Path, connection: sqlite3.Connection, total: int, floor: int
) -> None:
    def room(free: int) -> int:
        return space_of(database, free, total).measure(connection).room

    assert room(floor) == 0
    assert room(floor + floor // 8) == 0
    assert room(floor + floor // 2) == floor // 4
    assert room(2 * floor) == floor // 2


def test_unused_pages_take_jobs_while_the_log_has_space(
    database: Path, connection: sqlite3.Connection
) -> None:
    connection.execute("CREATE TABLE filled (data)")
    connection.execute("INSERT INTO filled VALUES (zeroblob(1000000))")
    connection.execute("DELETE FROM filled")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    near = space_of(database, 32 * MIB).measure(connection)
    assert 0.9e6 < near.room < 1.1e6
    assert near.is_full
    assert space_of(database, 0).measure(connection).room == 0


def test_pages_that_are_only_in_the_log_need_space(
    database: Path, connection: sqlite3.Connection
) -> None:
    space = space_of(database, 128 * MIB)
    before = space.measure(connection).room
    connection.execute("CREATE TABLE filled (data)")
    connection.execute("INSERT INTO filled VALUES (zeroblob(8000000))")
    log = database.with_name(f"{DATABASE_NAME}-wal").stat().st_size
    assert space.measure(connection).room == pytest.approx(before + (log - 8e6) / 2, abs=20_000)
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    assert space.measure(connection).room == pytest.approx(before + log / 2, abs=20_000)


def test_commit_that_a_checkpoint_could_not_store_is_refused(
    database: Path, connection: sqlite3.Connection
) -> None:
    pages = space_of(database, 0).measure(connection).pages
    space_of(database, 0).check_growth(connection, pages, is_freeing=False)
    connection.execute("BEGIN")
    connection.execute("CREATE TABLE filled (data)")
    connection.execute("INSERT INTO filled VALUES (zeroblob(1000000))")
    for free, is_freeing in ((0, True), (MIB // 2, True), (16 * MIB, False)):
        with pytest.raises(DiskFullError):
            space_of(database, free).check_growth(connection, pages, is_freeing=is_freeing)
    for free, is_freeing in ((2 * MIB, True), (18 * MIB, False)):
        space_of(database, free).check_growth(connection, pages, is_freeing=is_freeing)
    connection.execute("ROLLBACK")


@pytest.mark.parametrize(
    ("free", "expected"),
    [(10 * GIB, 0), (GIB, 32 * MIB), (40 * MIB, 24 * MIB), (16 * MIB, 0), (0, 0)],
)
def test_reserve_is_made_when_the_disk_is_nearly_full(
    database: Path, connection: sqlite3.Connection, free: int, expected: int
) -> None:
    space = space_of(database, free)
    space.keep_reserve()
    assert space.reserve.size == expected
    space.keep_reserve(is_closing=True)
    assert space.reserve.size == (0 if free > GIB else min(32 * MIB, expected + free))


def test_log_of_a_small_disk_is_small(database: Path, connection: sqlite3.Connection) -> None:
    space_of(database, GIB).limit_log(connection)
    assert connection.execute("PRAGMA wal_autocheckpoint").fetchone() == (4000,)
    space_of(database, GIB, total=64 * MIB).limit_log(connection)
    assert connection.execute("PRAGMA wal_autocheckpoint").fetchone() == (512,)
    assert connection.execute("PRAGMA journal_size_limit").fetchone() == (4 * MIB,)


@pytest.mark.parametrize("answer", [OSError("gone"), (0, 0, 0)])
def test_disk_of_unknown_size_takes_jobs(
    database: Path,
    connection: sqlite3.Connection,
    monkeypatch: pytest.MonkeyPatch,
    answer: OSError | tuple[int, int, int],
) -> None:
    def usage(_: Path) -> object:
        if isinstance(answer, OSError):
            raise answer
        return _Usage(*answer)

    monkeypatch.setattr(space_module.shutil, "disk_usage", usage)
    assert space_module.Space(database).measure(connection).room > GIB


class _Usage:
    def __init__(self, total: int, used: int, free: int) -> None:
        self.total, self.used, self.free = total, used, free


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_reserve_takes_space_and_is_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    reserve = Reserve(tmp_path)
    assert not reserve.release()
    for size in (300_000, 700_000):
        reserve.make(size)
        stat = (tmp_path / RESERVE_NAME).stat()
        assert (reserve.size, stat.st_mode & 0o777) == (size, 0o600)
        assert stat.st_blocks * 512 >= size
    assert reserve.release()
    assert reserve.size == 0


def test_reserve_ends_where_the_disk_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allocate = os.posix_fallocate

    def allocate_half(descriptor: int, at: int, size: int) -> None:
        if at >= 512 * 1024:
            raise OSError(28, "No space left on device")
        allocate(descriptor, at, size)

    monkeypatch.setattr(reserve_module.os, "posix_fallocate", allocate_half)
    reserve = Reserve(tmp_path)
    reserve.make(MIB)
    assert reserve.size == 512 * 1024
