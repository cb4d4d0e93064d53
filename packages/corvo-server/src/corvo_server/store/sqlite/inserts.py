"""Inserts of any number of rows.

For each statement that runs, SQLite opens the table and every index of it anew, and that takes
longer than to write a row. So rows go in by the hundred.
"""

import sqlite3
from collections.abc import Sequence
from itertools import chain

from corvo_server.store.sqlite.rows import Row

_SIZES = (100, 25, 5, 1)
"""How many rows a statement has. There is one statement for each, and each is compiled but once."""


class Insert:
    """Made of an INSERT that ends with the values of one row, `VALUES (?, ?)`."""

    def __init__(self, statement: str) -> None:
        head, values = statement.rsplit("VALUES", 1)
        self._statements = [(size, f"{head}VALUES {', '.join([values] * size)}") for size in _SIZES]

    def run(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
        """Write rows, in their order."""
        at = 0
        for size, statement in self._statements:
            for start in range(at, len(rows) - size + 1, size):
                at = start + size
                connection.execute(statement, [*chain.from_iterable(rows[start:at])])
