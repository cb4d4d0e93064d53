"""Statements of one transaction on their way, many of them under way at once.

A round trip costs more than most statements. In libpq's pipeline mode a statement is sent without
waiting for the one before, and waited for only where its rows are needed.

Each wait is by a synchronization of the pipeline, which tells the database that it is our turn now.
Between two of them it takes us for busy sending, and does not hold us to
`idle_in_transaction_session_timeout`, however long nothing comes: rows that cursors fetch by
themselves are flushed without one, and the locks of whoever stands still then would stay for good.
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
"""Waits for the rows of a statement that is under way."""

PUT_OUT = (errors.IdleInTransactionSessionTimeout, errors.TransactionTimeout)
"""How the database ends the session of someone who stood still in a transaction."""
OUT_OF_REACH = (psycopg.OperationalError, *PUT_OUT)


class Pipeline:
    """One transaction on a connection that nobody else uses meanwhile."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.has_written = False
        self._native: psycopg.Pipeline | None = None
        self._context: AbstractContextManager[psycopg.Pipeline] | None = None

    def open(self) -> None:
        """Let statements be sent without waiting from now on."""
        self._context = self.connection.pipeline()
        self._native = self._context.__enter__()

    def close(self) -> None:
        """Wait for all that is under way. Raises what went wrong in it."""
        context, self._context, self._native = self._context, None, None
        if context is not None:
            context.__exit__(None, None, None)

    def abandon(self) -> None:
        """Leave nothing of the transaction. The connection is closed where that is not possible."""
        with suppress(psycopg.Error):  # told already, or to be told by the next try
            self.close()
        try:
            if not self.connection.closed:
                self.connection.rollback()
        except psycopg.Error:
            self.connection.close()

    def send(self, statement: str, values: Values = ()) -> None:
        """Send a statement whose rows do not matter."""
        self.connection.execute(statement, values or None)

    def write(self, statement: str, values: Values = ()) -> None:
        """Send a statement that changes something."""
        self.has_written = True
        self.send(statement, values)

    def request(self, statement: str, values: Values = ()) -> Rows:
        """Send a statement; its rows can be asked for later."""
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
        """Send a statement that changes something and wait for the number of rows."""
        self.has_written = True
        cursor = self.connection.execute(statement, values or None)
        self.sync()
        return cursor.rowcount

    def sync(self) -> None:
        """Wait for all that was sent."""
        if self._native is not None:
            self._native.sync()
