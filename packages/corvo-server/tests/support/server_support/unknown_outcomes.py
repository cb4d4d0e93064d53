"""Commits whose outcome a store cannot find out, on every storage engine."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from corvo_server.store.protocol import OutcomeUnknown, Store
from corvo_server.store.sqlite.session import SqliteSession


class FailingCommits:
    """A connection to SQLite whose COMMIT ends with an error, whether or not it succeeds."""

    def __init__(self, connection: sqlite3.Connection, code: int, *, are_stored: bool) -> None:
        self._connection = connection
        self._code = code
        self._are_stored = are_stored

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: Any) -> Any:
        if statement != "COMMIT":
            return self._connection.execute(statement, *values)
        self._connection.execute("COMMIT" if self._are_stored else "ROLLBACK")
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = self._code
        raise error


@contextmanager
def hide_outcomes(store: Store, *, are_stored: bool) -> Iterator[None]:
    """Hide the outcome of every commit in the `with` block from the session of the writer.

    `are_stored`: whether the commits succeed.
    """
    session: Any = store._writer._session  # type: ignore[attr-defined]
    is_sqlite = isinstance(session, SqliteSession)
    name = "_connection" if is_sqlite else "_end"
    real = getattr(session, name)

    def end(*args: Any) -> Any:
        if are_stored:
            real(*args)
        else:  # ends before the connection, or its locks would still hide jobs from the next fetch
            pipeline = args[0]
            pipeline.connection.execute("ROLLBACK")
            pipeline.close()
        session._drop()
        raise OutcomeUnknown("disk I/O error")

    code = sqlite3.SQLITE_IOERR_FSYNC
    failing = FailingCommits(real, code, are_stored=are_stored) if is_sqlite else end
    setattr(session, name, failing)
    try:
        yield
    finally:
        setattr(session, name, real)
