"""A PostgreSQL database as the source or target of a transfer; no server may write meanwhile."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from psycopg import errors, sql

from corvo_server.store.database_url import masked
from corvo_server.store.postgres.check import find_problems
from corvo_server.store.postgres.database import connect, is_pooled, prepare, search_path
from corvo_server.store.postgres.pipeline import Connection
from corvo_server.store.postgres.rows import SQL
from corvo_server.store.transfer import FLAGS, TABLES, Progress, Row, Table, TransferError

_QUEUES = "queues"
_COUNTS = "queue_counts"
_LOCKS = "unique_locks"
_SETTINGS = 8
"""Number of columns of a queue that are settings; the other columns are counters."""


class PostgresSide:
    """Implements `store.transfer.Side` for an existing database."""

    def __init__(self, url: str, schema: str) -> None:
        """Migrate the database and lock servers out.

        Raises `UnusableStoreError`; `TransferError` also while servers run.
        """
        prepare(url, schema, is_for_transfer=self._is_target)
        self._url = url
        self._connection: Connection = connect(url, keepalives_idle=30)
        self._latest = 0
        try:
            self._refuse_pooler()
            self._connection.execute(
                "SELECT set_config('search_path', %s, false)", (search_path(schema),)
            )
            self._exclude_servers()
        except BaseException:
            self._connection.close()
            raise

    _is_target = False

    def _refuse_pooler(self) -> None:
        """Raise `TransferError` behind a pooler: the lock against servers needs one session."""
        if is_pooled(self._connection):
            raise TransferError(
                f"{self.place} is behind a connection pooler, but a transfer needs one session of "
                "the database. Give the URL of the database without the pooler."
            )

    def _exclude_servers(self) -> None:
        """Check that no server is running, and block all writes until `close`."""
        (alive,) = self._connection.execute(SQL.count_live_nodes).fetchone() or (0,)
        if alive:
            raise TransferError(
                f"{alive} servers are running on {self.place}. Stop them first: the transfer would "
                "miss what they write meanwhile."
            )
        self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        try:
            self._connection.execute(SQL.lock_source)
        except errors.LockNotAvailable as error:
            raise TransferError(
                f"Another process is writing to {self.place}. Stop all servers."
            ) from error

    @property
    def place(self) -> str:
        """The URL, without its password."""
        return masked(self._url)

    def count(self) -> dict[str, int]:
        """Return the number of rows by table."""
        counts = {}
        for table in TABLES:
            ((rows,),) = self._connection.execute(
                sql.SQL("SELECT count(*) FROM ({}) AS t").format(self._select(table))
            ).fetchall()
            counts[table.name] = rows
        return counts

    def read(self, table: Table, after: tuple[Any, ...] | None, limit: int) -> list[Row]:
        """Return up to `limit` rows in the order of the key, after the key `after`."""
        keys = sql.SQL(", ").join(sql.Identifier(name) for name in table.keys)
        start: sql.Composable = sql.SQL("")
        if after is not None:
            marks = sql.SQL(", ").join(sql.Placeholder() for _ in table.keys)
            start = sql.SQL("WHERE ({}) > ({})").format(keys, marks)
        rows = self._connection.execute(
            sql.SQL("SELECT * FROM ({}) AS t {} ORDER BY {} LIMIT %s").format(
                self._select(table), start, keys
            ),
            (*(after or ()), limit),
        ).fetchall()
        return self._in_order(table, after, rows) if table.name == "jobs" else list(rows)

    def _select(self, table: Table) -> sql.Composable:
        """Return SQL for all rows of `table` in its columns, with booleans as 0 and 1."""
        if table.name == _QUEUES:
            return sql.SQL(SQL.queues_to_transfer)
        columns = [
            sql.SQL("{}::int").format(sql.Identifier(name))
            if name in FLAGS
            else sql.Identifier(name)
            for name in table.columns
        ]
        return sql.SQL("SELECT {} FROM {}").format(
            sql.SQL(", ").join(columns), sql.Identifier(table.name)
        )

    def _in_order(
        self, table: Table, after: tuple[Any, ...] | None, rows: Sequence[Row]
    ) -> list[Row]:
        """Raise `created_at` where it is lower than that of a job with a lower seq.

        Several servers can cause such differences, of some milliseconds. Searches on SQLite need
        `created_at` never to decrease with seq.
        """
        at = table.columns.index("created_at")
        if after is None:
            self._latest = 0
        elif not self._latest:
            (self._latest,) = self._connection.execute(SQL.latest_created_at, after).fetchone() or (
                0,
            )
        ordered: list[Row] = []
        for row in rows:
            self._latest = max(self._latest, row[at])
            ordered.append((*row[:at], self._latest, *row[at + 1 :]))
        return ordered

    def newest_seq(self) -> int:
        """Return the highest seq that any job ever had, deleted jobs included."""
        (seq,) = self._connection.execute(SQL.newest_seq).fetchone() or (0,)
        return int(seq)

    def wall_offset(self) -> int:
        """Return the offset of the wall clock from the server's time in ms."""
        (offset,) = self._connection.execute(SQL.read_wall_offset).fetchone() or (0,)
        return int(offset)

    def find_problems(self) -> Iterable[str]:
        """Yield a sentence for each problem of the database."""
        return find_problems(self._connection)

    def close(self) -> None:
        """Disconnect, which unlocks the database for servers."""
        self._connection.close()


class PostgresTarget(PostgresSide):
    """Implements `store.transfer.Target` for a new database or one with an unfinished transfer."""

    _is_target = True

    def _exclude_servers(self) -> None:
        """Check that no server and no other transfer is running.

        Writes need no lock: servers refuse to start on a database with an unfinished transfer.
        """
        (alive,) = self._connection.execute(SQL.count_live_nodes).fetchone() or (0,)
        if alive:
            raise TransferError(f"{alive} servers are running on {self.place}. Stop them first.")
        ((is_ours,),) = self._connection.execute(SQL.lock_target).fetchall()
        if not is_ours:
            raise TransferError(
                f"Another transfer into {self.place} is running. Wait until it has ended."
            )

    def begin(self, source: str, rows: dict[str, int]) -> dict[str, Progress]:
        """Mark the database as the target of a transfer; return the progress so far, by table.

        Raises `TransferError` if it contains other data, or if `source` or `rows` differ from the
        ones with which the transfer began.
        """
        expected = orjson.dumps(rows, option=orjson.OPT_SORT_KEYS).decode()
        with self._connection.transaction():
            ((begun,),) = self._connection.execute(SQL.has_transfer).fetchall()
            if not begun:
                if any(self.count().values()):
                    raise TransferError(
                        f"There is data in {self.place} already. Give an empty target."
                    )
                self._connection.execute(SQL.create_transfer)
                self._connection.execute(SQL.begin_transfer, ("", source, expected))
        found = self._connection.execute(SQL.transfer_begun).fetchone()
        if found != (source, expected):
            raise TransferError(
                f"{self.place} contains a part of {found and found[0]}, which is another source or "
                "has changed since. Drop the schema and start the transfer again."
            )
        return {
            name: Progress(tuple(orjson.loads(last)), count, total)
            for name, last, count, total in self._connection.execute(SQL.transfer_progress)
        }

    def write(self, table: Table, rows: Sequence[Row], progress: Progress) -> None:
        """Store rows of a table together with the progress, in one transaction."""
        last = orjson.dumps(progress.last).decode()
        with self._connection.transaction():
            if table.name == _QUEUES:
                self._write_queues(table, rows)
            elif table.name == _LOCKS:
                self._copy(_LOCKS, (*table.columns, "job_id"), [(*row, "") for row in rows])
                self._connection.execute(SQL.set_lock_holders)
            else:
                self._copy(table.name, table.columns, rows)
            written = (table.name, last, progress.rows, progress.digest)
            self._connection.execute(SQL.save_transfer_progress, written)

    def _write_queues(self, table: Table, rows: Sequence[Row]) -> None:
        settings, counters = table.columns[:_SETTINGS], table.columns[_SETTINGS:]
        self._copy(_QUEUES, settings, [row[:_SETTINGS] for row in rows])
        self._copy(
            _COUNTS,
            ("queue", "writer", "created_at", *counters),
            [(row[0], "", row[_SETTINGS - 1], *row[_SETTINGS:]) for row in rows],
        )

    def _copy(self, name: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        flags = [i for i, column in enumerate(columns) if column in FLAGS]
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(name), names)
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                values = list(row)
                for i in flags:
                    values[i] = bool(values[i])
                copy.write_row(values)

    def settle(self, newest_seq: int, wall_offset: int) -> None:
        """Give new jobs a seq above `newest_seq`, and store the offset of the wall clock.

        Call this when all rows are written.
        """
        if wall_offset:
            self._connection.execute(SQL.set_wall_offset, {"offset": wall_offset, "expected": 0})
        self._connection.execute(SQL.set_sequences, {"newest_seq": newest_seq})
        self._connection.execute(SQL.recount_key_usage)

    def finish(self) -> None:
        """Mark the transfer as complete, so that servers can open the database."""
        self._connection.execute(SQL.end_transfer)
        self._connection.execute("ANALYZE")
