"""Replace a database file so that the old database or the new one is complete at every moment.

A database in WAL mode consists of two files, which cannot be replaced in one step. So the log is
first written into the old database file. A damaged file cannot take its log; then the log is set
aside, under a name that contains the inode of its database file.
"""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from corvo_server.store.sqlite.durable import beside, replace, sync

_LOGS = ("-wal", "-journal")
_HEADER = b"SQLite format 3\0"


def swap(fresh: Path, database: Path) -> None:
    """Replace `database` by `fresh`, a complete database in one file, in the same directory.

    No server may use the database. Raises `OSError` and `sqlite3.Error`; then `fresh` still exists
    unless the replacement is done but may not survive a power cut.
    """
    sync(fresh)
    _fold_log(database)
    try:
        _set_logs_aside(database)
        replace(fresh, database)
    finally:
        finish_swap(database)


def finish_swap(database: Path) -> None:
    """Put logs that were set aside back to their database; remove them if it was replaced."""
    for aside, log, inode in _logs_aside(database):
        if inode == _inode(database):
            replace(aside, log)
        else:
            aside.unlink()


def has_logs_aside(database: Path) -> bool:
    """Return whether an interrupted replacement left a log under another name."""
    return bool(_logs_aside(database))


def _logs_aside(database: Path) -> list[tuple[Path, Path, int]]:
    """Return the logs that are set aside, with their proper names and inodes of the databases."""
    name = re.compile(rf"({re.escape(database.name)}(?:-wal|-journal))\.of-(\d+)")
    found = [(entry, name.fullmatch(entry.name)) for entry in database.parent.iterdir()]
    return [(entry, entry.with_name(match[1]), int(match[2])) for entry, match in found if match]


def _fold_log(database: Path) -> None:
    """Write the log into the database file and remove it, unless the file is damaged."""
    if not _has_header(database):
        return  # SQLite would remove the log when it closes the file
    try:
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            (mode,) = connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    except sqlite3.OperationalError:
        raise  # in use, disk full or I/O error: the database and its log are unchanged
    except sqlite3.DatabaseError:
        return
    if mode != "delete":
        raise sqlite3.OperationalError(f"the write-ahead log of {database} is in use")


def _set_logs_aside(database: Path) -> None:
    """Rename logs that exist: SQLite would apply them to the new file."""
    for suffix in _LOGS:
        log = beside(database, suffix)
        if log.exists():
            replace(log, beside(log, f".of-{_inode(database)}"))
    # The index of the log. SQLite makes it anew.
    beside(database, "-shm").unlink(missing_ok=True)


def _has_header(database: Path) -> bool:
    if not database.exists():
        return False
    with database.open("rb") as file:
        return file.read(len(_HEADER)) == _HEADER


def _inode(path: Path) -> int:
    return path.stat().st_ino if path.exists() else 0
