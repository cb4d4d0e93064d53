"""A SQLite database as the source or target of a transfer; servers are locked out meanwhile."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from corvo_server.store.sqlite.check import find_problems
from corvo_server.store.sqlite.clock import read_clock
from corvo_server.store.sqlite.database import (
    DATABASE_NAME,
    lock_data_dir,
    open_durable_writer,
    open_reader,
    open_writer,
)
from corvo_server.store.sqlite.rows import SQL
from corvo_server.store.sqlite.tags import add_tags
from corvo_server.store.transfer import TABLES, Progress, Row, Table, TransferError


class SqliteSide:
    """Implements `store.transfer.Side` for an existing database."""

    def __init__(self, data_dir: Path) -> None:
        """Lock and migrate the database. Raises `DataDirLockedError` and `TransferError`."""
        if not (data_dir / DATABASE_NAME).is_file():
            raise TransferError(
                f"There is no Corvo database in {data_dir}. Give the directory of a database."
            )
        self._lock = lock_data_dir(data_dir)
        self._data_dir = data_dir
        try:
            # Opening the writer migrates the schema to the version that this code reads.
            open_writer(data_dir / DATABASE_NAME).close()
            self._connection = self._open()
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> sqlite3.Connection:
        return open_reader(self._data_dir / DATABASE_NAME)

    @property
    def place(self) -> str:
        """The URL of the data directory."""
        return f"sqlite:///{self._data_dir}"

    def count(self) -> dict[str, int]:
        """Return the number of rows by table."""
        return {
            table.name: self._connection.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0]  # noqa: S608 - our own names
            for table in TABLES
        }

    def read(self, table: Table, after: tuple[Any, ...] | None, limit: int) -> list[Row]:
        """Return up to `limit` rows in the order of the key, after the key `after`."""
        keys = ", ".join(_named(table.keys))
        start = f"WHERE ({keys}) > ({_marks(table.key)})" if after is not None else ""
        columns = ", ".join(_named(table.columns))
        statement = f"SELECT {columns} FROM {table.name} {start} ORDER BY {keys} LIMIT ?"  # noqa: S608
        return self._connection.execute(statement, (*(after or ()), limit)).fetchall()

    def newest_seq(self) -> int:
        """Return the highest seq that any job ever had, deleted jobs included."""
        (seq, _) = self._connection.execute(SQL.newest_job).fetchone()
        return int(seq)

    def wall_offset(self) -> int:
        """Return the offset of the wall clock from the server's time in ms."""
        return read_clock(self._connection)[0]

    def find_problems(self) -> Iterable[str]:
        """Yield a sentence for each problem of the database."""
        return find_problems(self._connection)

    def close(self) -> None:
        """Close the database and unlock it for servers."""
        self._connection.close()
        self._lock.release()


class SqliteTarget(SqliteSide):
    """Implements `store.transfer.Target` for a new database or one with an unfinished transfer."""

    def __init__(self, data_dir: Path) -> None:
        """Create or open the database. Raises `DataDirLockedError` while a server runs."""
        self._lock = lock_data_dir(data_dir)
        self._data_dir = data_dir
        try:
            self._connection = self._open()
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> sqlite3.Connection:
        return open_durable_writer(self._data_dir / DATABASE_NAME, is_for_transfer=True)

    def begin(self, source: str, rows: dict[str, int]) -> dict[str, Progress]:
        """Mark the database as the target of a transfer; return the progress so far, by table.

        Raises `TransferError` if it contains other data, or if `source` or `rows` differ from the
        ones with which the transfer began.
        """
        expected = orjson.dumps(rows, option=orjson.OPT_SORT_KEYS).decode()
        with self._transaction():
            if not self._connection.execute(SQL.has_transfer).fetchone()[0]:
                if any(self.count().values()):
                    raise TransferError(
                        f"There is data in {self.place} already. Give an empty target."
                    )
                self._connection.execute(SQL.create_transfer)
                self._connection.execute(SQL.begin_transfer, ("", source, expected))
        begun = self._connection.execute(SQL.transfer_begun).fetchone()
        if begun != (source, expected):
            raise TransferError(
                f"{self.place} contains a part of {begun[0]}, which is another source or has "
                "changed since. Empty the target and start the transfer again."
            )
        return {
            name: Progress(tuple(orjson.loads(last)), count, total)
            for name, last, count, total in self._connection.execute(SQL.transfer_progress)
        }

    def write(self, table: Table, rows: Sequence[Row], progress: Progress) -> None:
        """Store rows of a table together with the progress, in one transaction."""
        columns = ", ".join(_named(table.columns))
        statement = f"INSERT INTO {table.name} ({columns}) VALUES ({_marks(len(table.columns))})"  # noqa: S608
        with self._transaction():
            self._connection.executemany(statement, rows)
            if table.name == "jobs":
                at = table.columns.index("tags")
                add_tags(self._connection, [(row[0], row[at]) for row in rows if row[at]])
                self._connection.execute(SQL.fill_index_columns, (rows[0][0], rows[-1][0]))
            last = orjson.dumps(progress.last).decode()
            written = (table.name, last, progress.rows, progress.digest)
            self._connection.execute(SQL.save_transfer_progress, written)

    def settle(self, newest_seq: int, wall_offset: int) -> None:
        """Give new jobs a seq above `newest_seq`, and store the offset of the wall clock.

        Call this when all rows are written.
        """
        if wall_offset:
            self._connection.execute(SQL.set_wall_offset, (wall_offset, 0))
        self._connection.execute(SQL.keep_last_seq, (newest_seq,))
        self._connection.execute(SQL.recount_key_usage)

    def finish(self) -> None:
        """Mark the transfer as complete, so that servers can open the database."""
        self._connection.execute(SQL.end_transfer)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.rollback()  # SQLite may have done it, because of an error
            raise
        self._connection.execute("COMMIT")


def _named(columns: Sequence[str]) -> list[str]:
    """Replace the column `number`, which SQLite has only as the implicit `rowid`."""
    return ["rowid" if name == "number" else name for name in columns]


def _marks(number: int) -> str:
    return ", ".join("?" * number)
