"""The table of what API keys with limits use."""

import sqlite3
from collections.abc import Collection, Sequence

from corvo_server.store.commit.tables import Usage
from corvo_server.store.sqlite.rows import SQL


class KeyUsage:
    """Implements `store.commit.tables.KeyUsageTable`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def lock(self, names: Collection[str]) -> dict[str, Usage]:
        rows = [self._connection.execute(SQL.find_key_usage, (name,)).fetchone() for name in names]
        return {row[0]: Usage(*row[1:]) for row in rows if row is not None}

    def add(self, changes: Sequence[tuple[str, Usage]]) -> None:
        self._connection.executemany(SQL.add_key_usage, [(name, *more) for name, more in changes])
