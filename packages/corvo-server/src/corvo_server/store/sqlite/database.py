"""Opening the database file: who may, with which settings, at which schema version."""

import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from corvo_server.store.migrate import load_migrations, pending_migrations
from corvo_server.store.protocol import UnusableStoreError
from corvo_server.store.sqlite.rows import SQL
from corvo_server.store.transfer import HalfTransferredError

log = logging.getLogger(__name__)

DATABASE_NAME = "corvo.db"
_LOCK_NAME = "corvo.lock"
_CACHE_KIB = 16 * 1024
"""For the pages that writes come back to; the system caches the rest. More made nothing faster."""
_CHECKPOINT_PAGES = 4000

# For what is neither number nor text the driver looks for an adapter, and to look in vain is slow:
# 0.3 µs for each None that is bound. So there are some, in C. They hold for the process.
_as_it_is: Callable[[None], None] = {None: None}.get
sqlite3.register_adapter(type(None), _as_it_is)
sqlite3.register_adapter(bool, int)

_MIGRATIONS = "corvo_server.store.sqlite.migrations"


class DataDirLockedError(UnusableStoreError):
    """Another server owns the data directory."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(
            f"Another corvo-server is using the data directory {data_dir}. One server owns a "
            "SQLite file: stop the other one, or give this one its own --data-dir."
        )


class UnusableDatabaseError(UnusableStoreError):
    """The file is there and cannot be opened as our database, or not for writing."""

    def __init__(self, path: Path, error: sqlite3.Error) -> None:
        super().__init__(f"Cannot use {path}: {error}. It was left as it is.")


def lock_data_dir(data_dir: Path) -> FileLock:
    """Become the owner of the directory (created if need be) until the lock is released.

    The lock belongs to the process: it is gone when the process is, however that ended.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(data_dir / _LOCK_NAME, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise DataDirLockedError(data_dir) from None
    return lock


def open_writer(path: Path, *, is_for_transfer: bool = False) -> sqlite3.Connection:
    """The one connection that writes, durable at every commit, with the schema up to date.

    Raises `NewerSchemaError` when a newer server wrote the file, `UnusableDatabaseError` when the
    file is none of ours or cannot be written, `HalfTransferredError` when what is to be moved into
    it is not all there, unless it `is_for_transfer`.
    """
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise UnusableDatabaseError(path, error) from error
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        connection.execute("PRAGMA temp_store = MEMORY")
        _migrate(connection)
        if not is_for_transfer:
            _refuse_half_transferred(connection, path)
        # SQLite opens a file that it must not write as well, and says so at the first write only.
        connection.execute("DELETE FROM schema_migrations WHERE FALSE")
    except sqlite3.Error as error:
        connection.close()
        raise UnusableDatabaseError(path, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that can only read. Reads never wait for the writer (WAL)."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA query_only = ON")
    return connection


def _refuse_half_transferred(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute(SQL.has_transfer).fetchone() == (1,):
        (source, _) = connection.execute(SQL.transfer_begun).fetchone()
        raise HalfTransferredError(str(path), source)


def _migrate(connection: sqlite3.Connection) -> None:
    """Apply the missing migrations, each in a transaction of its own with its record."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations ("
        "version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT"
    )
    (current,) = connection.execute(
        "SELECT coalesce(max(version), 0) FROM schema_migrations"
    ).fetchone()
    for migration in pending_migrations(load_migrations(_MIGRATIONS), current):
        applied_at = time.time_ns() // 1_000_000
        # executescript commits what is open before it starts, so the script brings its own BEGIN.
        connection.executescript(f"BEGIN IMMEDIATE;\n{migration.script}")
        connection.execute(
            "INSERT INTO schema_migrations VALUES (?, ?, ?)",
            (migration.version, migration.name, applied_at),
        )
        connection.execute("COMMIT")
        log.info("schema migrated to version %d (%s)", migration.version, migration.name)
