"""Back up, restore, check and compact a SQLite database.

Backup and check work while a server runs. Restore and vacuum need it to be stopped.
"""

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
from corvo_server.store.sqlite.durable import beside, replace, sync
from corvo_server.store.sqlite.leftovers import (
    PARTIAL,
    RESTORING,
    InUseError,
    is_reserved,
    remove_leftovers,
    work_file,
)
from corvo_server.store.sqlite.permissions import create_private_file
from corvo_server.store.sqlite.space import Space, is_full
from corvo_server.store.sqlite.swap import has_logs_aside, swap

_PRIMARY_CODE = 0xFF
"""The bits of an error code of SQLite without the bits of its extended codes."""


class BackupError(Exception):
    """The command failed. The message says what is there now and what to do."""


def back_up(data_dir: Path, target: Path, *, is_compact: bool = False) -> int:
    """Copy one snapshot of the database to the new file `target`; return its size in bytes.

    A compact copy leaves out the space of deleted jobs.

    A running server is not interrupted. `target` appears only once the copy is complete and
    durable. Raises `BackupError`.
    """
    with _reading(data_dir) as reader:
        if target.exists():
            raise BackupError(f"{target} exists already. Choose another file name.")
        if is_reserved(target.name):
            raise BackupError(
                f"{target} has a name of unfinished backups, which are removed. Choose another "
                "file name, e.g. backup.db."
            )
        remove_leftovers(data_dir, is_data_dir=True)
        if target.parent.is_dir():
            remove_leftovers(target.parent, is_data_dir=False)
        partial = beside(target, PARTIAL)
        try:
            with work_file(partial):
                _copy(reader, partial, is_compact=is_compact)
                _check_copy(partial)
                sync(partial)
                replace(partial, target)
        except InUseError as error:
            raise BackupError(
                f"Another backup to {target} is running. Wait for its end."
            ) from error
        except (OSError, sqlite3.Error) as error:
            state = (
                "The backup is complete, but may be lost in a power cut. Copy it elsewhere"
                if target.exists()
                else "No backup was made; the database is unchanged"
            )
            raise BackupError(f"Cannot write {target}: {error}. {state}.") from error
    return target.stat().st_size


def restore(source: Path, data_dir: Path, *, may_replace: bool) -> None:
    """Replace the database in `data_dir` by the backup `source`, migrated to the current schema.

    At every moment the old database with its log or the restored one is there, whatever fails.
    Raises `DataDirLockedError` while a server runs, `NewerSchemaError` for a backup of a newer
    server, and `BackupError`.
    """
    if not source.is_file():
        raise BackupError(f"There is no file {source}. Give the path of a backup file.")
    database = data_dir / DATABASE_NAME
    with lock_data_dir(data_dir):
        if database.exists() and not may_replace:
            raise BackupError(
                f"{database} exists already. Move it away, or give --force to replace it."
            )
        fresh = database.with_suffix(RESTORING)
        is_replaced = False
        try:
            with work_file(fresh):
                _prepare(source, fresh)
                try:
                    swap(fresh, database)
                finally:
                    is_replaced = not fresh.exists()
        except InUseError as error:
            raise BackupError(f"Another process uses {fresh}. Nothing was changed.") from error
        except (OSError, sqlite3.Error) as error:
            raise BackupError(_describe(error, source, database, is_replaced)) from error


def _prepare(source: Path, fresh: Path) -> None:
    """Copy the backup to `fresh`, migrate it to the current schema and check it."""
    try:
        with closing(open_reader(source)) as reader:
            if not _has_tables(reader):
                raise BackupError(
                    f"{source} is not a backup of Corvo: it does not contain Corvo's tables."
                )
            _copy(reader, fresh)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise BackupError(f"{source} is not a backup of Corvo: {error}.") from error
    with closing(open_writer(fresh)) as writer:
        # The file must be complete without a log, because only the file is renamed.
        writer.execute("PRAGMA journal_mode = DELETE")
    _check_copy(fresh)


def _describe(error: Exception, source: Path, database: Path, is_replaced: bool) -> str:
    if is_replaced:
        return (
            f"{database} is restored from {source}, but a power cut may still bring the old "
            f"database back: {error}. Check the disk, then run the command again."
        )
    if has_logs_aside(database):
        state = (
            f"The old {database} is still there, but its log has another name. The next start of "
            "the server or of this command gives it back its name"
        )
    elif database.exists():
        state = "The database that was there is unchanged"
    else:
        state = "No database was made"
    return f"Cannot restore {source}: {error}. {state}."


def check(data_dir: Path) -> list[str]:
    """Return a sentence for each problem of the database. A running server is not interrupted.

    Raises `BackupError` if there is no database, and `sqlite3.DatabaseError` if the file is none.
    """
    try:
        with _reading(data_dir) as reader:
            remove_leftovers(data_dir, is_data_dir=True)
            reader.execute("BEGIN")
            return list(find_problems(reader))
    except sqlite3.DatabaseError as error:
        # Other errors say nothing about the content: no database at all, no permission, locked.
        if getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE != sqlite3.SQLITE_CORRUPT:
            raise
        return [f"file: {error}"]


def vacuum(data_dir: Path) -> tuple[int, int]:
    """Shrink the file by the space of deleted rows; return its size in bytes before and after.

    Takes the space of the reserve if necessary. Raises `DataDirLockedError` while a server runs,
    and `BackupError` if there is too little space.
    """
    database = _database_in(data_dir)
    with lock_data_dir(data_dir):
        before = database.stat().st_size
        space = Space(database)
        with closing(open_writer(database)) as writer:
            missing = space.missing_for_copy(writer)
            if missing > 0 and space.reserve.release():
                missing = space.missing_for_copy(writer)
            if missing > 0:
                raise _no_space(database, f"{missing / 1e6:.1f} MB are missing on its disk")
            try:
                writer.execute("VACUUM")
                writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.Error as error:
                if not is_full(error):
                    raise
                raise _no_space(database, str(error)) from error
        return before, database.stat().st_size


def _no_space(database: Path, why: str) -> BackupError:
    return BackupError(
        f"Cannot shrink {database}: {why}. Nothing was changed. A vacuum needs space for one more "
        "copy of the stored jobs. Delete jobs first; the server uses their space for new jobs "
        "without a vacuum. Or run `corvo-server backup --compact FILE`, with FILE on another disk, "
        "and restore FILE."
    )


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


def _copy(reader: sqlite3.Connection, target: Path, *, is_compact: bool = False) -> None:
    """Copy the database to the new file `target`."""
    create_private_file(target)
    if is_compact:
        reader.execute("PRAGMA query_only = OFF")  # VACUUM INTO writes only to its target
        reader.execute("VACUUM INTO ?", (str(target),))
    with closing(sqlite3.connect(target)) as copy:
        if not is_compact:
            reader.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")


def _check_copy(path: Path) -> None:
    """Raise `BackupError` if the file is damaged."""
    with closing(sqlite3.connect(path)) as copy:
        problems = [verdict for (verdict,) in copy.execute("PRAGMA integrity_check")]
    if problems != ["ok"]:
        raise BackupError(
            f"The copy is damaged ({problems[0]}) and was removed. Run `corvo-server check` on the "
            "original."
        )
