"""Detects that files of the open database were removed or replaced under the running server.

Only `stat` is used. To open and close one of these files would release SQLite's locks on it,
because POSIX locks belong to the process and end with its first `close` of the file.
"""

import os
import time
from pathlib import Path
from typing import NamedTuple

_SETTLED_NS = 50_000_000
"""Age of a directory's modification time above which a later change cannot have the same time."""


class _Identity(NamedTuple):
    device: int
    inode: int


class DataFiles:
    """The files of an open database, by the device and inode that they had when it was opened."""

    def __init__(self, database: Path, lock: Path) -> None:
        """Remember the files of `database`, which must be open, and the lock file."""
        self.database = database.absolute()
        self.log = self.database.with_name(f"{database.name}-wal")
        index = self.database.with_name(f"{database.name}-shm")
        self.directory = self.database.parent
        self._directory = str(self.directory)
        named = {
            self.database: "the database file",
            self.log: "the write-ahead log",
            index: "the index of the write-ahead log",
            lock.absolute(): "the lock file",
        }
        self._opened = [
            (str(path), name, identity)
            for path, name in named.items()
            if (identity := _identity_of(str(path))) is not None
        ]
        self._intact_mark: tuple[int, int, int] | None = None
        """Device, inode and modification time of the directory while all files were there."""

    def problem(self) -> str | None:
        """Return which file was removed or replaced; None if all are there.

        This runs in every commit, so it usually looks at the directory only: its modification time
        changes when an entry is added, removed or renamed.
        """
        try:
            stat = os.stat(self._directory)  # noqa: PTH116 - half the time of Path.stat
        except OSError:
            return self.compare()
        mark = (stat.st_mtime_ns, stat.st_ino, stat.st_dev)
        if mark == self._intact_mark:
            return None
        problem = self.compare()
        is_settled = time.time_ns() - stat.st_mtime_ns > _SETTLED_NS
        self._intact_mark = mark if problem is None and is_settled else None
        return problem

    def compare(self) -> str | None:
        """Return which file was removed or replaced, by looking at each of them."""
        for path, name, identity in self._opened:
            if _identity_of(path) != identity:
                return (
                    f"{name} was removed or replaced: {path}. The server refuses writes. Put the "
                    "file back, or restart the server."
                )
        return None

    @property
    def has_database(self) -> bool:
        """Whether the database file itself is still there."""
        path, _, identity = self._opened[0]
        return _identity_of(path) == identity


def _identity_of(path: str) -> _Identity | None:
    try:
        stat = os.stat(path)  # noqa: PTH116 - half the time of Path.stat
    except OSError:
        return None
    return _Identity(stat.st_dev, stat.st_ino)


def size_of(path: str | os.PathLike[str]) -> int:
    """Return the size of a file in bytes; 0 if it does not exist."""
    try:
        return os.stat(path).st_size  # noqa: PTH116 - called in commits
    except OSError:
        return 0
