"""Run the statements of one transaction in libpq's pipeline mode.

A round trip costs more than most statements. In pipeline mode a statement is sent without waiting
for the previous one; the server waits only when it needs rows.

Every wait must synchronize the pipeline. Until a synchronization the database considers the client
busy, and `idle_in_transaction_session_timeout` does not apply. psycopg can also fetch rows without
one, but then a process that hangs afterwards would keep its locks forever.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any, TypeAlias

import psycopg
from psycopg import errors

from corvo_server.store.postgres.rows import Row

Connection: TypeAlias = psycopg.Connection[Row]
Values: TypeAlias = tuple[Any, ...] | dict[str, Any]
Rows: TypeAlias = Callable[[], list[Row]]
"""Waits for a statement that was sent, and returns its rows."""

SESSION_TIMEOUTS = (errors.IdleInTransactionSessionTimeout, errors.TransactionTimeout)
"""Errors with which the database closes a session whose transaction was idle or open too long."""
CONNECTION_ERRORS = (psycopg.OperationalError, *SESSION_TIMEOUTS)
"""Errors of the connection or the database, as opposed to errors in a statement."""


class Pipeline:
    """Sends the statements of one transaction on a connection, in pipeline mode."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.has_written = False
        self._native: psycopg.Pipeline | None = None
        self._context: AbstractContextManager[psycopg.Pipeline] | None = None

    def open(self) -> None:
        """Enter pipeline mode: from now on, statements are sent without waiting."""
        self._context = self.connection.pipeline()
        self._native = self._context.__enter__()

    def close(self) -> None:
        """Wait for all statements and leave pipeline mode. Raises the first error of them."""
        context, self._context, self._native = self._context, None, None
        if context is not None:
            context.__exit__(None, None, None)

    def abandon(self) -> None:
        """Roll back the transaction; close the connection if that fails."""
        with suppress(psycopg.Error):  # the caller has the error already, or the next try gets it
            self.close()
        try:
            if not self.connection.closed:
                self.connection.rollback()
        except psycopg.Error:
            self.connection.close()

    def send(self, statement: str, values: Values = ()) -> None:
        """Send a statement without using its rows."""
        self.connection.execute(statement, values or None)

    def write(self, statement: str, values: Values = ()) -> None:
        """Send a statement that changes data."""
        self.has_written = True
        self.send(statement, values)

    def request(self, statement: str, values: Values = ()) -> Rows:
        """Send a statement, and return a function that waits for its rows."""
        cursor = self.connection.execute(statement, values or None)

        def rows() -> list[Row]:
            if cursor.pgresult is None:
                self.sync()
            return cursor.fetchall()

        return rows

    def ask(self, statement: str, values: Values = ()) -> list[Row]:
        """Send a statement and wait for its rows."""
        return self.request(statement, values)()

    def count(self, statement: str, values: Values = ()) -> int:
        """Send a statement that changes data; wait, and return the number of rows affected."""
        self.has_written = True
        cursor = self.connection.execute(statement, values or None)
        self.sync()
        return cursor.rowcount

    def sync(self) -> None:
        """Wait for all statements that were sent."""
        if self._native is not None:
            self._native.sync()
