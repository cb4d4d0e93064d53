"""Multi-row inserts.

For each statement, SQLite opens the table and all of its indexes again, which takes longer than
writing a row. So one statement inserts up to 100 rows.
"""

import sqlite3
from collections.abc import Sequence
from itertools import chain

from corvo_server.store.sqlite.rows import Row

_SIZES = (100, 25, 5, 1)
"""Rows per statement. The fixed sizes let sqlite3 cache the compiled statements."""


class Insert:
    """An INSERT statement for any number of rows."""

    def __init__(self, statement: str) -> None:
        """`statement` inserts one row and ends with its values, as `VALUES (?, ?)`."""
        head, values = statement.rsplit("VALUES", 1)
        self._statements = [(size, f"{head}VALUES {', '.join([values] * size)}") for size in _SIZES]

    def run(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
        """Insert the rows in their order."""
        at = 0
        for size, statement in self._statements:
            for start in range(at, len(rows) - size + 1, size):
                at = start + size
                connection.execute(statement, [*chain.from_iterable(rows[start:at])])
