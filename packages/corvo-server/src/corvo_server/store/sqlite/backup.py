"""Back up, restore, check and compact a SQLite database.

Backup and check work while a server runs. Restore and vacuum need it to be stopped.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from corvo_server.store.sqlite.check import find_problems
from corvo_server.store.sqlite.database import (
    DATABASE_NAME,
    lock_data_dir,
    open_reader,
    open_writer,
)
from corvo_server.store.sqlite.permissions import create_private_file


class BackupError(Exception):
    """The command failed and changed nothing. The message says what to do."""


def back_up(data_dir: Path, target: Path) -> int:
    """Copy one snapshot of the database to the new file `target`; return its size in bytes.

    A running server is not interrupted. `target` appears only once the copy is complete.
    Raises `BackupError`.
    """
    with _reading(data_dir) as reader:
        if target.exists():
            raise BackupError(f"{target} exists already. Choose another file name.")
        _copy(reader, target)
    return target.stat().st_size


def restore(source: Path, data_dir: Path, *, may_replace: bool) -> None:
    """Replace the database in `data_dir` by the backup `source`, migrated to the current schema.

    The backup is copied and checked before anything is replaced. Raises `DataDirLockedError` while
    a server runs, `NewerSchemaError` for a backup of a newer server, and `BackupError`.
    """
    if not source.is_file():
        raise BackupError(f"There is no file {source}. Give the path of a backup file.")
    database = data_dir / DATABASE_NAME
    with lock_data_dir(data_dir):
        if database.exists() and not may_replace:
            raise BackupError(
                f"{database} exists already. Move it away, or give --force to replace it."
            )
        fresh = database.with_suffix(".restoring")
        fresh.unlink(missing_ok=True)
        try:
            with closing(open_reader(source)) as reader:
                if not _has_tables(reader):
                    raise BackupError(
                        f"{source} is not a backup of Corvo: it does not contain Corvo's tables."
                    )
                _copy(reader, fresh)
            open_writer(fresh).close()
        except sqlite3.DatabaseError as error:
            raise BackupError(f"{source} is not a backup of Corvo: {error}.") from error
        else:
            _remove_wal(database)
            fresh.replace(database)
        finally:
            fresh.unlink(missing_ok=True)
            _remove_wal(fresh)


def check(data_dir: Path) -> list[str]:
    """Return a sentence for each problem of the database. A running server is not interrupted."""
    with _reading(data_dir) as reader:
        reader.execute("BEGIN")
        return list(find_problems(reader))


def vacuum(data_dir: Path) -> tuple[int, int]:
    """Shrink the file by the space of deleted rows; return its size in bytes before and after.

    Raises `DataDirLockedError` while a server runs.
    """
    database = _database_in(data_dir)
    with lock_data_dir(data_dir):
        before = database.stat().st_size
        with closing(open_writer(database)) as writer:
            writer.execute("VACUUM")
            writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return before, database.stat().st_size


def _database_in(data_dir: Path) -> Path:
    database = data_dir / DATABASE_NAME
    if not database.is_file():
        raise BackupError(
            f"There is no Corvo database in {data_dir}. Name its directory with --data-dir."
        )
    return database


@contextmanager
def _reading(data_dir: Path) -> Iterator[sqlite3.Connection]:
    database = _database_in(data_dir)
    with closing(open_reader(database)) as reader:
        # A server creates the file before its tables. A copy without tables cannot be restored.
        if not _has_tables(reader):
            raise BackupError(
                f"{database} has no tables yet; a starting server creates them. Try again when "
                "the server logs that it is listening."
            )
        yield reader


def _has_tables(reader: sqlite3.Connection) -> bool:
    (tables,) = reader.execute(
        "SELECT count(*) FROM sqlite_schema WHERE name IN ('jobs', 'schema_migrations')"
    ).fetchone()
    return bool(tables == 2)


def _copy(reader: sqlite3.Connection, target: Path) -> None:
    """Copy the database to `target`, which appears only once the copy is checked and on disk."""
    partial = target.with_name(target.name + ".partial")
    partial.unlink(missing_ok=True)
    try:
        create_private_file(partial)
        with closing(sqlite3.connect(partial)) as copy:
            reader.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            problems = [verdict for (verdict,) in copy.execute("PRAGMA integrity_check")]
        if problems != ["ok"]:
            raise BackupError(
                f"The copy is damaged ({problems[0]}). Run `corvo-server check` on the original."
            )
        descriptor = os.open(partial, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _remove_wal(database: Path) -> None:
    """Remove the write-ahead log of a database file that is about to be replaced.

    SQLite would apply the old log to the new file.
    """
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
