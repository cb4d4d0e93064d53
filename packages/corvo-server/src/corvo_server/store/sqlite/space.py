"""The space that jobs may still take: on the disk, and on free pages within the file.

A full disk must never stop deletes and acks. They need space, too: for the write-ahead log, and for
the checkpoint that moves it to the database. So new jobs are refused while less than a floor is
left. All sizes are in bytes.
"""

import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from corvo_server.store.sqlite.files import size_of
from corvo_server.store.sqlite.reserve import Reserve

_MIB = 1024 * 1024
_FRAME_HEADER = 24
"""Bytes that a page takes in the log beside its content."""
_FLOOR = 64 * _MIB
"""Space that new jobs leave to other writes; an eighth of a disk of less than 512 MiB."""
_NEAR = 2 * 1024 * _MIB
"""Free space below which every commit measures it, and below which the reserve is made.

Above it the watch measures every second. Such a disk does not fill up in between.
"""
_CODES_OF_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}


class Disk(NamedTuple):
    """The size of a disk and its free space, as far as this user may use it."""

    total: int
    free: int


_UNKNOWN = Disk(sys.maxsize, sys.maxsize)
"""The state of a disk that cannot be asked: no limit."""


class Measure(NamedTuple):
    """The space at one moment."""

    room: int
    """Space that new jobs may take; 0 if they are refused."""
    free: int
    """Free space of the disk."""
    pages: int
    """Number of pages of the database, with those that are only in the log."""
    is_full: bool
    """Whether a job of a usual size may be refused."""
    is_near: bool
    """Whether the disk may fill up before the watch looks again."""


class DiskFullError(Exception):
    """Raised when a write would leave no space for deletes. It was not done."""


class Space:
    """The space of one database. `disk` returns the state of its disk."""

    def __init__(self, database: Path, disk: Callable[[], Disk] | None = None) -> None:
        self._database = str(database)
        self._log = f"{database}-wal"
        self._directory = database.parent
        self._disk = disk or self._ask
        self._page_bytes = 0
        self.last = Measure(0, 0, 0, is_full=True, is_near=True)
        """The last measure, by any thread. Call `measure` before the first use."""
        self.reserve = Reserve(database.parent)

    def limit_log(self, connection: sqlite3.Connection) -> None:
        """Let the write-ahead log of a small disk take less space than that of a large one."""
        floor = _floor_of(self._disk())
        (pages,) = connection.execute("PRAGMA wal_autocheckpoint").fetchone()
        (size,) = connection.execute("PRAGMA journal_size_limit").fetchone()
        pages = max(1, min(pages, floor // 4 // self._page_size(connection)))
        connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")
        connection.execute(f"PRAGMA journal_size_limit = {min(size, floor // 2)}")

    def measure(self, connection: sqlite3.Connection) -> Measure:
        """Measure the space by the pages that `connection` sees. Any thread may call this."""
        disk = self._disk()
        floor = _floor_of(disk)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (unused,) = connection.execute("PRAGMA freelist_count").fetchone()
        # The next checkpoint needs the space of pages that are only in the log. The log itself
        # keeps its space, and the next commits write over it.
        log = min(size_of(self._log), floor // 2)
        left = disk.free + log - self._growth(connection, pages) - floor
        # New pages take space twice, in the log and in the file. Unused pages take it once, and
        # the log gives it back at the next checkpoint.
        room = left // 2 if left // 2 >= floor // 8 else 0
        if left >= floor // 8 - floor:
            room = max(room, min(unused * self._page_size(connection), floor // 8))
        self.last = Measure(
            room, disk.free, pages, is_full=room < floor // 32, is_near=disk.free < _NEAR
        )
        return self.last

    def check_growth(
        self, connection: sqlite3.Connection, pages_before: int, *, is_freeing: bool
    ) -> None:
        """Raise `DiskFullError` if a checkpoint would fail after the open transaction.

        Transactions that free no space leave half of the reserve to those that do.
        """
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        if pages <= pages_before:
            return
        disk = self._disk()
        left = disk.free + self.reserve.size - self._growth(connection, pages)
        if left < (0 if is_freeing else _floor_of(disk) // 4):
            raise DiskFullError(f"{disk.free / 1e6:.1f} MB are free")

    def missing_for_copy(self, connection: sqlite3.Connection) -> int:
        """Return how much free space is missing for a copy of the rows; at most 0 if none is."""
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (unused,) = connection.execute("PRAGMA freelist_count").fetchone()
        needed = (pages - unused) * (self._page_size(connection) + _FRAME_HEADER)
        missing: int = needed + _MIB - self._disk().free
        return missing

    def keep_reserve(self, *, is_closing: bool = False) -> None:
        """Make the reserve once the disk is nearly full, as large as its space allows.

        At the close it may take all space, because the log gives its own back.
        """
        disk = self._disk()
        floor = _floor_of(disk)
        size = self.reserve.size
        wanted = min(floor // 2, size + disk.free - (0 if is_closing else floor // 4))
        if disk.free < _NEAR and size < wanted:
            self.reserve.make(wanted)

    def _growth(self, connection: sqlite3.Connection, pages: int) -> int:
        """Return by how much a checkpoint makes the file larger."""
        return max(0, pages * self._page_size(connection) - size_of(self._database))

    def _page_size(self, connection: sqlite3.Connection) -> int:
        if self._page_bytes == 0:
            (size,) = connection.execute("PRAGMA page_size").fetchone()
            self._page_bytes = int(size)
        return self._page_bytes

    def _ask(self) -> Disk:
        try:
            usage = shutil.disk_usage(self._directory)
        except OSError:
            return _UNKNOWN
        # Some network file systems do not say how large they are.
        return Disk(usage.total, usage.free) if usage.total > 0 else _UNKNOWN


def is_full(error: BaseException | None) -> bool:
    """Return whether SQLite failed because the disk is full. Then nothing was committed."""
    return isinstance(error, DiskFullError) or (
        isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) in _CODES_OF_FULL
    )


def _floor_of(disk: Disk) -> int:
    return min(_FLOOR, disk.total // 8)
