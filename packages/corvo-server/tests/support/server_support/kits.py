"""The stores that the conformance suite runs on."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import psycopg

from corvo_schema.states import JobState
from corvo_server.store.commit.transaction import Transaction
from corvo_server.store.commit.writer import Verb
from corvo_server.store.postgres.check import check
from corvo_server.store.postgres.database import prepare
from corvo_server.store.postgres.store import PostgresStore
from corvo_server.store.protocol import Store
from corvo_server.store.rows.codes import STATES
from corvo_server.store.rows.heads import to_head
from corvo_server.store.sqlite import backup
from corvo_server.store.sqlite.database import DATABASE_NAME
from corvo_server.store.sqlite.store import SqliteStore
from server_support.waiting import wait_blocking


class Kit(Protocol):
    """One engine: how to open its store, and how to look behind its back."""

    def open(self, **options: Any) -> Store:
        """Open the store; at the second call the same data again, once the first is closed."""
        ...

    def count_jobs(self) -> dict[str, dict[JobState, int]]:
        """How many jobs of each state every queue really has."""
        ...

    def count_rows(self, table: str) -> int:
        """How many rows a table has."""
        ...

    @contextmanager
    def hold_commits(self, store: Store) -> Iterator[None]:
        """Let writes gather meanwhile; after it they share one commit."""
        ...

    @contextmanager
    def break_commits(self, store: Store, times: int = 1000) -> Iterator[None]:
        """Let commits fail meanwhile, at most so many."""
        ...

    @contextmanager
    def lose(self) -> Iterator[None]:
        """Let the database be out of reach meanwhile."""
        ...

    def check_memory(self, store: Store) -> None:
        """What an open store that is idle remembers of jobs is what the database has."""
        ...

    def find_problems(self) -> list[str]:
        """What `corvo-server check` says."""
        ...

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the database on a connection of one's own; `?` stands for a value."""
        ...


NewKit = Callable[[], AbstractContextManager[Kit]]
"""Makes a kit whose store has no jobs yet. What it kept is gone at the end."""


def _writer_of(store: Store) -> Any:
    """Return the private writer of a store; both engines have one."""
    return store._writer  # type: ignore[attr-defined]


class _OwnKit:
    """What is the same for the stores that share this program's writer."""

    @contextmanager
    def hold_commits(self, store: Store) -> Iterator[None]:
        is_writing, gate = threading.Event(), threading.Event()

        def block(_: Transaction, requests: list[Any]) -> list[Any]:
            is_writing.set()
            gate.wait()
            return requests

        blocked = _writer_of(store).submit(Verb(0, block), None)
        # Where the commit is broken, too, its failure is nobody's: not to be logged as forgotten.
        blocked.add_done_callback(lambda blocked: blocked.cancelled() or blocked.exception())
        is_writing.wait()
        try:
            yield
        finally:
            gate.set()

    def count_jobs(self) -> dict[str, dict[JobState, int]]:
        counts: dict[str, dict[JobState, int]] = {}
        statement = "SELECT queue, state, count(*) FROM jobs GROUP BY queue, state"
        for queue, state, jobs in self.query(statement):
            counts.setdefault(queue, {})[STATES[state]] = jobs
        return counts

    def check_memory(self, store: Store) -> None:
        """Nothing is remembered."""

    def count_rows(self, table: str) -> int:
        rows: int
        ((rows,),) = self.query(f"SELECT count(*) FROM {table}")  # noqa: S608 - a test's own word
        return rows

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        raise NotImplementedError


class SqliteKit(_OwnKit):
    """The embedded store."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir

    def open(self, **options: Any) -> Store:
        return SqliteStore(self.data_dir, **options)

    def check_memory(self, store: Store) -> None:
        session = _writer_of(store)._session
        cached = session._jobs._cached_heads
        heads = {head.id: head for head in map(to_head, self.query("SELECT * FROM job_heads"))}
        assert cached == {job_id: heads.get(job_id) for job_id in cached}
        if session._jobs._newest is not None:
            ((last, newest),) = self.query("SELECT max(seq), created_at FROM jobs")
            ((removed,),) = self.query("SELECT last FROM job_sequence")
            seq, at = session._jobs._newest
            assert seq == max(last or 0, removed)
            assert at == newest or seq != last
        if session._events._last_id is not None:
            ((last,),) = self.query("SELECT max(id) FROM events")
            assert last in {session._events._last_id, None}

    @contextmanager
    def lose(self) -> Iterator[None]:
        path = self.data_dir / DATABASE_NAME
        away = path.rename(path.with_suffix(".away"))
        try:
            yield
        finally:
            away.rename(path)

    def find_problems(self) -> list[str]:
        return backup.check(self.data_dir)

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.data_dir / DATABASE_NAME)) as connection:
            return connection.execute(statement, values).fetchall()

    @contextmanager
    def break_commits(self, store: Store, times: int = 1000) -> Iterator[None]:
        session = _writer_of(store)._session
        real = session._connection
        session._connection = _BrokenCommits(real, times)
        try:
            yield
        finally:
            session._connection = real


class _BrokenCommits:
    """A connection to a disk that is full."""

    def __init__(self, connection: sqlite3.Connection, times: int) -> None:
        self._connection = connection
        self._times = times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: Any) -> Any:
        if statement == "COMMIT" and self._times > 0:
            self._times -= 1
            raise sqlite3.OperationalError("database or disk is full")
        return self._connection.execute(statement, *values)


_EMPTY = """
SET lock_timeout = '1s';
DO $$
DECLARE it record;
BEGIN
    FOR it IN SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
              WHERE schemaname = 'corvo' AND tablename <> 'schema_migrations'
    LOOP EXECUTE 'DELETE FROM ' || it.name; END LOOP;
    FOR it IN SELECT format('%I.%I', schemaname, sequencename) AS name FROM pg_sequences
              WHERE schemaname = 'corvo'
    LOOP EXECUTE 'ALTER SEQUENCE ' || it.name || ' RESTART'; END LOOP;
END
$$
"""


class PostgresKit(_OwnKit):
    """The store on PostgreSQL, in a database of its own."""

    def __init__(self, url: str) -> None:
        self.url = url

    @classmethod
    def prepare(cls, url: str) -> None:
        """Bring the schema of an empty database up to date."""
        prepare(url, "corvo")

    def empty(self) -> bool:
        """Remove all that is there; whether nobody was in the way."""
        try:
            with psycopg.connect(self.url, autocommit=True) as connection:
                connection.execute(_EMPTY)
        except psycopg.Error:
            return False
        return True

    def open(self, **options: Any) -> Store:
        # Alone on its database, it has nothing to hear from others.
        return PostgresStore(self.url, **{"notify": False, "poll_seconds": 0, **options})

    @contextmanager
    def lose(self) -> Iterator[None]:
        elsewhere = self.url.rpartition("/")[0] + "/postgres"
        with psycopg.connect(elsewhere, autocommit=True) as admin:
            name = urlsplit(self.url).path[1:]
            admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
                (name,),
            )
            try:
                yield
            finally:
                admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
                wait_blocking(self._is_there, "the database takes connections again")

    def _is_there(self) -> bool:
        try:
            self.query("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def check_memory(self, store: Store) -> None:
        cached = _writer_of(store)._session._cached_heads._cached_heads.values()
        rows = self.query(
            "SELECT h.*, j.xmin::text::bigint FROM job_heads h JOIN jobs j ON j.seq = h.seq"
        )
        stored = {(row[0], row[-1]): to_head(row[:-1]) for row in rows}
        # Elsewhere another server wrote since.
        current = [(head, (head.seq, xid)) for head, xid in cached if (head.seq, xid) in stored]
        assert [head for head, _ in current] == [stored[version] for _, version in current]

    def find_problems(self) -> list[str]:
        return check(self.url, "corvo")

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            connection.execute("SET LOCAL search_path = corvo")
            return connection.execute(statement.replace("?", "%s"), values or None).fetchall()

    @contextmanager
    def break_commits(self, store: Store, times: int = 1000) -> Iterator[None]:
        session = _writer_of(store)._session
        real = session._end

        def end(*args: Any) -> Any:
            nonlocal times
            if times > 0:
                times -= 1
                raise psycopg.errors.DiskFull("disk is full")
            return real(*args)

        session._end = end
        try:
            yield
        finally:
            session._end = real
