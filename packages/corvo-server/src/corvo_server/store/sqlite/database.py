"""Lock the data directory, open the database file and migrate its schema."""

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from corvo_server.store.migrate import load_migrations, pending_migrations
from corvo_server.store.protocol import UnusableStoreError
from corvo_server.store.sqlite.durable import make_directory
from corvo_server.store.sqlite.leftovers import remove_leftovers
from corvo_server.store.sqlite.rows import SQL
from corvo_server.store.sqlite.swap import finish_swap
from corvo_server.store.transfer import HalfTransferredError

log = logging.getLogger(__name__)

DATABASE_NAME = "corvo.db"
_LOCK_NAME = "corvo.lock"
_CACHE_KIB = 16 * 1024
"""KiB of page cache; the operating system caches the rest. A larger cache was not faster."""
_CHECKPOINT_PAGES = 4000

# For each None or bool that is bound, sqlite3 searches for an adapter. A search without success
# costs 0.3 µs. Registering adapters written in C avoids it, for the whole process.
_return_none: Callable[[None], None] = {None: None}.get
sqlite3.register_adapter(type(None), _return_none)
sqlite3.register_adapter(bool, int)

_MIGRATIONS = "corvo_server.store.sqlite.migrations"


class DataDirLockedError(UnusableStoreError):
    """Another server owns the data directory."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(
            f"Another corvo-server is using the data directory {data_dir}. Only one server can "
            "use a SQLite file. Stop the other server, or give this one its own --data-dir."
        )


class UnusableDatabaseError(UnusableStoreError):
    """The file is not a Corvo database, or it cannot be written."""

    def __init__(self, path: Path, error: sqlite3.Error) -> None:
        super().__init__(
            f"Cannot use {path}: {error}. Expected a SQLite file of Corvo that this user may "
            "write. The file was not changed."
        )


def lock_data_dir(data_dir: Path) -> FileLock:
    """Create the directory if it is missing, lock it, and return the lock.

    Then remove what interrupted commands left in it. The lock belongs to the process: the operating
    system releases it when the process ends. Raises `DataDirLockedError` if another process has it.
    """
    make_directory(data_dir)
    lock = FileLock(data_dir / _LOCK_NAME, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise DataDirLockedError(data_dir) from None
    try:
        finish_swap(data_dir / DATABASE_NAME)
        remove_leftovers(data_dir, is_data_dir=True)
    except BaseException:
        lock.release()
        raise
    return lock


@contextmanager
def locked_data_dir(data_dir: Path) -> Iterator[None]:
    """Hold the lock of `lock_data_dir` in the `with` block."""
    lock = lock_data_dir(data_dir)
    try:
        yield
    finally:
        lock.release()


def open_writer(path: Path, *, is_for_transfer: bool = False) -> sqlite3.Connection:
    """Migrate the database and return the one connection that writes; each commit is durable.

    Raises `NewerSchemaError` if a newer server wrote the file, and `UnusableDatabaseError` if it is
    not a Corvo database or cannot be written. Raises `HalfTransferredError` if a transfer into the
    database is incomplete, unless `is_for_transfer`.
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
        # SQLite opens a read-only file without an error; the first write fails. So write now.
        connection.execute("DELETE FROM schema_migrations WHERE FALSE")
    except sqlite3.Error as error:
        connection.close()
        raise UnusableDatabaseError(path, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """Return a read-only connection. In WAL mode, reads never wait for the writer."""
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
    """Apply the missing migrations; each one commits together with its record."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations ("
        "version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT"
    )
    (current,) = connection.execute(
        "SELECT coalesce(max(version), 0) FROM schema_migrations"
    ).fetchone()
    for migration in pending_migrations(load_migrations(_MIGRATIONS), current):
        applied_at = time.time_ns() // 1_000_000
        # executescript commits any open transaction first, so the script contains the BEGIN.
        connection.executescript(f"BEGIN IMMEDIATE;\n{migration.script}")
        connection.execute(
            "INSERT INTO schema_migrations VALUES (?, ?, ?)",
            (migration.version, migration.name, applied_at),
        )
        connection.execute("COMMIT")
        log.info("schema migrated to version %d (%s)", migration.version, migration.name)
