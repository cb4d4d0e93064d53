"""The file as one side of a transfer. No server works on it meanwhile."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from corvo_server.store.sqlite.check import find_problems
from corvo_server.store.sqlite.database import (
    DATABASE_NAME,
    lock_data_dir,
    open_reader,
    open_writer,
)
from corvo_server.store.sqlite.rows import SQL
from corvo_server.store.sqlite.tags import add_tags
from corvo_server.store.transfer import TABLES, Progress, Row, Table, TransferError


class SqliteSide:
    """Implements `store.transfer.Side`: a database that is there."""

    def __init__(self, data_dir: Path) -> None:
        """Raises `DataDirLockedError` while a server runs, and `TransferError`."""
        if not (data_dir / DATABASE_NAME).is_file():
            raise TransferError(f"There is no Corvo database in {data_dir}.")
        self._lock = lock_data_dir(data_dir)
        self._data_dir = data_dir
        try:
            # Opened as a server would, so that its schema is the one that we know.
            open_writer(data_dir / DATABASE_NAME).close()
            self._connection = self._open()
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> sqlite3.Connection:
        return open_reader(self._data_dir / DATABASE_NAME)

    @property
    def place(self) -> str:
        """The directory."""
        return f"sqlite:///{self._data_dir}"

    def count(self) -> dict[str, int]:
        """How many rows each table has."""
        return {
            table.name: self._connection.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0]  # noqa: S608 - our own names
            for table in TABLES
        }

    def read(self, table: Table, after: tuple[Any, ...] | None, limit: int) -> list[Row]:
        """The next rows by their key, after that one."""
        keys = ", ".join(_named(table.keys))
        start = f"WHERE ({keys}) > ({_marks(table.key)})" if after is not None else ""
        columns = ", ".join(_named(table.columns))
        statement = f"SELECT {columns} FROM {table.name} {start} ORDER BY {keys} LIMIT ?"  # noqa: S608
        return self._connection.execute(statement, (*(after or ()), limit)).fetchall()

    def newest_seq(self) -> int:
        """The highest seq that any job ever had."""
        (seq, _) = self._connection.execute(SQL.newest_job).fetchone()
        return int(seq)

    def find_problems(self) -> Iterable[str]:
        """What is wrong with it, as sentences."""
        return find_problems(self._connection)

    def close(self) -> None:
        """Let a server use it again."""
        self._connection.close()
        self._lock.release()


class SqliteTarget(SqliteSide):
    """Implements `store.transfer.Target`: a new database, or one that a transfer has begun."""

    def __init__(self, data_dir: Path) -> None:
        """Raises `DataDirLockedError` while a server runs."""
        self._lock = lock_data_dir(data_dir)
        self._data_dir = data_dir
        try:
            self._connection = self._open()
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> sqlite3.Connection:
        return open_writer(self._data_dir / DATABASE_NAME, is_for_transfer=True)

    def begin(self, source: str, rows: dict[str, int]) -> dict[str, Progress]:
        """Be the target of a transfer; how far an earlier attempt has come."""
        expected = orjson.dumps(rows, option=orjson.OPT_SORT_KEYS).decode()
        with self._transaction():
            if not self._connection.execute(SQL.has_transfer).fetchone()[0]:
                if any(self.count().values()):
                    raise TransferError(f"There is data in {self.place} already.")
                self._connection.execute(SQL.create_transfer)
                self._connection.execute(SQL.begin_transfer, ("", source, expected))
        begun = self._connection.execute(SQL.transfer_begun).fetchone()
        if begun != (source, expected):
            raise TransferError(
                f"{self.place} holds a part of {begun[0]}, which is another source or has changed "
                "since. Empty the target and begin again."
            )
        return {
            name: Progress(tuple(orjson.loads(last)), count, total)
            for name, last, count, total in self._connection.execute(SQL.transfer_progress)
        }

    def write(self, table: Table, rows: Sequence[Row], progress: Progress) -> None:
        """Store rows and how far it has come with them."""
        columns = ", ".join(_named(table.columns))
        statement = f"INSERT INTO {table.name} ({columns}) VALUES ({_marks(len(table.columns))})"  # noqa: S608
        with self._transaction():
            self._connection.executemany(statement, rows)
            if table.name == "jobs":
                at = table.columns.index("tags")
                add_tags(self._connection, [(row[0], row[at]) for row in rows if row[at]])
                self._connection.execute(SQL.copy_for_indexes, (rows[0][0], rows[-1][0]))
            last = orjson.dumps(progress.last).decode()
            written = (table.name, last, progress.rows, progress.digest)
            self._connection.execute(SQL.note_transfer, written)

    def settle(self, newest_seq: int) -> None:
        """All rows are there; give no job a seq that one had before."""
        self._connection.execute(SQL.keep_seq, (newest_seq,))

    def finish(self) -> None:
        """Be a store that a server can use."""
        self._connection.execute(SQL.end_transfer)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")


def _named(columns: Sequence[str]) -> list[str]:
    """The columns, of which one has no name in SQLite."""
    return ["rowid" if name == "number" else name for name in columns]


def _marks(number: int) -> str:
    return ", ".join("?" * number)
