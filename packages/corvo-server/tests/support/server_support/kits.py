"""Test kits for each storage engine of the conformance suite."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import psycopg

from corvo_schema.states import JobState
from corvo_server.store.commit.session import Verb
from corvo_server.store.commit.transaction import Transaction
from corvo_server.store.postgres.check import check
from corvo_server.store.postgres.database import prepare
from corvo_server.store.postgres.store import PostgresStore
from corvo_server.store.protocol import Store
from corvo_server.store.rows.codes import STATES
from corvo_server.store.rows.heads import to_head
from corvo_server.store.sqlite import backup
from corvo_server.store.sqlite.database import DATABASE_NAME
from corvo_server.store.sqlite.space import Disk
from corvo_server.store.sqlite.store import SqliteStore
from server_support.waiting import wait_blocking


class Kit(Protocol):
    """One storage engine with its data: opens its store, breaks it, and reads its database."""

    def open(self, **options: Any) -> Store:
        """Open the store. A second call opens the same data; the first store must be closed."""
        ...

    def count_jobs(self) -> dict[str, dict[JobState, int]]:
        """Return the number of stored jobs per queue and state."""
        ...

    def count_rows(self, table: str) -> int:
        """Return the number of rows of a table."""
        ...

    @contextmanager
    def hold_commits(self, store: Store) -> Iterator[None]:
        """Block the writer in the `with` block. All writes submitted in it share one commit."""
        ...

    @contextmanager
    def break_commits(self, store: Store, times: int = 1000) -> Iterator[None]:
        """Make up to `times` commits fail in the `with` block."""
        ...

    @contextmanager
    def fill_disk(self, store: Store) -> Iterator[None]:
        """Leave no space for new jobs in the `with` block, but enough for other writes."""
        ...

    @contextmanager
    def lose(self) -> Iterator[None]:
        """Make the database unreachable in the `with` block."""
        ...

    def check_memory(self, store: Store) -> None:
        """Assert that the caches of an idle store agree with the database."""
        ...

    def find_problems(self) -> list[str]:
        """Return the problems that `corvo-server check` finds."""
        ...

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement that returns rows on a separate connection, and commit.

        Each `?` is a placeholder of a value.
        """
        ...


NewKit = Callable[[], AbstractContextManager[Kit]]
"""Creates a kit with an empty store. Its data is deleted at the end of the context."""


def _writer_of(store: Store) -> Any:
    """Return the private writer of a store; both engines have one."""
    return store._writer  # type: ignore[attr-defined]


class _OwnKit:
    """The methods that are the same for all stores with a `commit.writer.Writer`."""

    @contextmanager
    def hold_commits(self, store: Store) -> Iterator[None]:
        is_writing, gate = threading.Event(), threading.Event()

        def block(_: Transaction, requests: list[Any]) -> list[Any]:
            is_writing.set()
            gate.wait()
            return requests

        blocked = _writer_of(store).submit(Verb(0, block), None)
        # Retrieve the exception if the commit fails, so that asyncio does not log it.
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
        """Assert nothing: engines with caches override this."""

    def count_rows(self, table: str) -> int:
        rows: int
        ((rows,),) = self.query(f"SELECT count(*) FROM {table}")  # noqa: S608 - a test's own word
        return rows

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        raise NotImplementedError


class SqliteKit(_OwnKit):
    """A kit for SQLite, on a data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir

    def open(self, **options: Any) -> Store:
        return SqliteStore(self.data_dir, **options)

    def check_memory(self, store: Store) -> None:
        session = _writer_of(store)._session
        cached = session._jobs._cached_heads
        heads = {head.id: head for head in map(to_head, self.query("SELECT * FROM heads"))}
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
    def fill_disk(self, store: Store) -> Iterator[None]:
        space: Any = store._space  # type: ignore[attr-defined]
        real, space._disk = space._disk, lambda: Disk(total=2**40, free=40 * 2**20)
        space.last = space.last._replace(is_near=True)
        try:
            yield
        finally:
            space._disk = real
            space.last = space.last._replace(is_near=True)

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
        path = self.data_dir / DATABASE_NAME
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
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
    """A connection whose commits fail as on a full disk."""

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


_FILL = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
END
$$;
CREATE TRIGGER full_disk BEFORE INSERT ON jobs EXECUTE FUNCTION full_disk();
"""


class PostgresKit(_OwnKit):
    """A kit for PostgreSQL, on its own database."""

    def __init__(self, url: str) -> None:
        self.url = url

    @classmethod
    def prepare(cls, url: str) -> None:
        """Create the schema in an empty database."""
        prepare(url, "corvo")

    def empty(self) -> bool:
        """Delete all rows. Return False if a lock or another error prevented it."""
        try:
            with psycopg.connect(self.url, autocommit=True) as connection:
                connection.execute(_EMPTY)
        except psycopg.Error:
            return False
        return True

    def open(self, **options: Any) -> Store:
        # No other server uses the database, so it needs no notifications.
        return PostgresStore(self.url, **{"notify": False, "poll_seconds": 0, **options})

    @contextmanager
    def fill_disk(self, store: Store) -> Iterator[None]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("SET search_path = corvo")
            connection.execute(_FILL)
            try:
                yield
            finally:
                connection.execute("DROP FUNCTION full_disk() CASCADE")

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
            "SELECT h.*, j.xmin::text::bigint FROM heads h JOIN jobs j ON j.seq = h.seq"
        )
        stored = {(row[0], row[-1]): to_head(row[:-1]) for row in rows}
        # Skip cached heads of rows that another server has written since.
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
