"""Lock the data directory, open the database file and migrate its schema."""

import logging
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from corvo_server.store.migrate import load_migrations, pending_migrations
from corvo_server.store.protocol import UnusableStoreError
from corvo_server.store.sqlite.durable import beside, sync
from corvo_server.store.sqlite.leftovers import remove_leftovers
from corvo_server.store.sqlite.permissions import (
    PRIVATE_FILE,
    create_private_directory,
    create_private_file,
    make_private,
)
from corvo_server.store.sqlite.reserve import Reserve
from corvo_server.store.sqlite.rows import SQL
from corvo_server.store.sqlite.space import is_full
from corvo_server.store.sqlite.swap import finish_swap
from corvo_server.store.transfer import HalfTransferredError

log = logging.getLogger(__name__)

DATABASE_NAME = "corvo.db"
LOCK_NAME = "corvo.lock"
_CACHE_KIB = 16 * 1024
"""KiB of page cache; the operating system caches the rest. A larger cache was not faster."""
_CHECKPOINT_PAGES = 4000
_LOG_BYTES = 32 * 1024 * 1024
"""Size to which the write-ahead log is cut when it starts again, twice its usual size."""

# For each None or bool that is bound, sqlite3 searches for an adapter. A search without success
# costs 0.3 µs. Registering adapters written in C avoids it, for the whole process.
_return_none: Callable[[None], None] = {None: None}.get
sqlite3.register_adapter(type(None), _return_none)
sqlite3.register_adapter(bool, int)

MIGRATIONS = "corvo_server.store.sqlite.migrations"


class DataDirLockedError(UnusableStoreError):
    """Another server owns the data directory."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(
            f"Another corvo-server is using the data directory {data_dir}. Only one server can "
            "use a SQLite file. Stop the other server, or give this one its own --data-dir."
        )


class UnusableDatabaseError(UnusableStoreError):
    """The file is not a Corvo database, or it cannot be written."""

    def __init__(self, path: Path, error: sqlite3.Error | OSError) -> None:
        expected = (
            "The disk is full. Free 1 MB on it and try again; then jobs can be deleted."
            if is_full(error)
            else "Expected a SQLite file of Corvo that this user may write, on a disk that works."
        )
        # A migration may have been applied, also if its COMMIT has failed.
        super().__init__(f"Cannot use {path}: {error}. {expected} No job was changed.")


class DataDirLock:
    """The lock of a data directory: of the directory itself, and of a file in it.

    A second server cannot get the lock of the directory, even if the lock file was removed. Some
    network file systems cannot lock directories; there, only the file is locked.
    """

    def __init__(self, data_dir: Path) -> None:
        """Take the lock. Raises `DataDirLockedError` if another process has it."""
        self._directory = _lock_directory(data_dir)
        self._file = FileLock(data_dir / LOCK_NAME, mode=PRIVATE_FILE, thread_local=False)
        try:
            self._file.acquire(timeout=0)
        except BaseException as error:
            self._release_directory()
            if isinstance(error, Timeout):
                raise DataDirLockedError(data_dir) from None
            raise

    def release(self) -> None:
        """Release the lock."""
        self._file.release()
        self._release_directory()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def _release_directory(self) -> None:
        directory, self._directory = self._directory, None
        if directory is not None:
            os.close(directory)


def lock_data_dir(data_dir: Path) -> DataDirLock:
    """Create the directory if it is missing, lock it, make it private, and return the lock.

    Then remove what interrupted commands left in it. The lock belongs to the process: the operating
    system releases it when the process ends. Raises `DataDirLockedError` if another process has it.
    """
    create_private_directory(data_dir)
    lock = DataDirLock(data_dir)
    try:
        finish_swap(data_dir / DATABASE_NAME)
        remove_leftovers(data_dir, is_data_dir=True)
        make_private(data_dir)
    except BaseException:
        lock.release()
        raise
    return lock


def _lock_directory(data_dir: Path) -> int | None:
    """Return a descriptor that holds the lock; None if directories cannot be locked here."""
    if sys.platform == "win32":
        return None
    import fcntl  # noqa: PLC0415 - missing on Windows

    descriptor = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DataDirLockedError(data_dir) from None
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def open_writer(path: Path, *, is_for_transfer: bool = False) -> sqlite3.Connection:
    """Migrate the database and return the one connection that writes; each commit is durable.

    Raises `NewerSchemaError` if a newer server wrote the file, and `UnusableDatabaseError` if it is
    not a Corvo database or cannot be written. Raises `HalfTransferredError` if a transfer into the
    database is incomplete, unless `is_for_transfer`. If the disk is full, takes the space of the
    reserve.
    """
    try:
        return _open_writer(path, is_for_transfer=is_for_transfer)
    except UnusableDatabaseError as error:
        if not (is_full(error.__cause__) and Reserve(path.parent).release()):
            raise
        return _open_writer(path, is_for_transfer=is_for_transfer)


def open_durable_writer(path: Path, *, is_for_transfer: bool = False) -> sqlite3.Connection:
    """Open the database like `open_writer`, with all of its files on stable storage.

    A process that is killed between the writes of a commit and their fsync leaves them to the
    operating system, and SQLite takes the commit for done. A call that is then repeated writes
    nothing, so its reply needs the commit to be durable already. SQLite also syncs the entries of
    the directory, but ignores a failure: a power cut could then remove the log with all its jobs.
    """
    try:
        for file in (path, beside(path, "-wal")):
            # SQLite refuses a file that this user may not write, with a better message.
            if file.exists() and os.access(file, os.W_OK):
                sync(file)
    except OSError as error:
        raise UnusableDatabaseError(path, error) from error
    connection = open_writer(path, is_for_transfer=is_for_transfer)
    try:
        sync(path.parent)
    except OSError as error:
        connection.close()
        raise UnusableDatabaseError(path, error) from error
    return connection


def _open_writer(path: Path, *, is_for_transfer: bool) -> sqlite3.Connection:
    try:
        create_private_file(path)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except (sqlite3.Error, OSError) as error:
        raise UnusableDatabaseError(path, error) from error
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        connection.execute("PRAGMA temp_store = MEMORY")
        # Some builds of SQLite overwrite all deleted content by default. To delete a large job
        # would then write as much as to store it, which a full disk does not allow.
        connection.execute("PRAGMA secure_delete = FAST")
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
    for migration in pending_migrations(load_migrations(MIGRATIONS), current):
        applied_at = time.time_ns() // 1_000_000
        # executescript commits any open transaction first, so the script contains the BEGIN.
        connection.executescript(f"BEGIN IMMEDIATE;\n{migration.script}")
        connection.execute(
            "INSERT INTO schema_migrations VALUES (?, ?, ?)",
            (migration.version, migration.name, applied_at),
        )
        connection.execute("COMMIT")
        log.info("schema migrated to version %d (%s)", migration.version, migration.name)
