"""Copies of the database: made while a server runs, put back while none does."""

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


class BackupError(Exception):
    """It cannot be done; nothing was changed. The message says what to do."""


def back_up(data_dir: Path, target: Path) -> int:
    """Copy the database, as of one moment, to a new file; its size in bytes.

    A running server goes on meanwhile. The copy appears whole or not at all.
    """
    with _reading(data_dir) as reader:
        if target.exists():
            raise BackupError(f"{target} exists already. Give a name that is free.")
        _copy(reader, target)
    return target.stat().st_size


def restore(source: Path, data_dir: Path, *, may_replace: bool) -> None:
    """Put a copy in the place of the database of a server that does not run.

    A sound copy only, of this version's schema or an older one, which is brought up to date.
    Raises `DataDirLockedError` while a server runs.
    """
    if not source.is_file():
        raise BackupError(f"There is no file {source}.")
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
                        f"{source} is not a backup of Corvo: it lacks Corvo's tables."
                    )
                _copy(reader, fresh)
            open_writer(fresh).close()
        except sqlite3.DatabaseError as error:
            raise BackupError(f"{source} is not a backup of Corvo: {error}.") from error
        else:
            _forget_log(database)
            fresh.replace(database)
        finally:
            fresh.unlink(missing_ok=True)
            _forget_log(fresh)


def check(data_dir: Path) -> list[str]:
    """What is wrong with the database, as sentences. A running server goes on meanwhile."""
    with _reading(data_dir) as reader:
        reader.execute("BEGIN")
        return list(find_problems(reader))


def vacuum(data_dir: Path) -> tuple[int, int]:
    """Give the space of removed rows back to the disk; bytes before and after.

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
        raise BackupError(f"There is no Corvo database in {data_dir}; name it with --data-dir.")
    return database


@contextmanager
def _reading(data_dir: Path) -> Iterator[sqlite3.Connection]:
    database = _database_in(data_dir)
    with closing(open_reader(database)) as reader:
        # The file is there before its tables are. A copy of it then could not be restored.
        if not _has_tables(reader):
            raise BackupError(
                f"{database} has no tables yet: a server that starts makes them. Try again when "
                "it says that it listens."
            )
        yield reader


def _has_tables(reader: sqlite3.Connection) -> bool:
    (tables,) = reader.execute(
        "SELECT count(*) FROM sqlite_schema WHERE name IN ('jobs', 'schema_migrations')"
    ).fetchone()
    return bool(tables == 2)


def _copy(reader: sqlite3.Connection, target: Path) -> None:
    """Copy to a file of another name first, see that it is sound and on the disk, then name it."""
    partial = target.with_name(target.name + ".partial")
    partial.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(partial)) as copy:
            reader.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            problems = [verdict for (verdict,) in copy.execute("PRAGMA integrity_check")]
        if problems != ["ok"]:
            raise BackupError(f"The copy is not sound ({problems[0]}); see corvo-server check.")
        descriptor = os.open(partial, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _forget_log(database: Path) -> None:
    """Remove the write-ahead log of a database that is replaced: it belongs to the old one."""
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
