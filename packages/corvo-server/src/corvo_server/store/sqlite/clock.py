"""The offset of the wall clock from the server's time."""

import sqlite3

from corvo_server.store.sqlite.rows import SQL, fetch_one


class Clock:
    """Implements `store.commit.tables.ClockTable`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def set_wall_offset(self, expected: int, offset: int) -> bool:
        return self._connection.execute(SQL.set_wall_offset, (offset, expected)).rowcount > 0


def read_clock(connection: sqlite3.Connection) -> tuple[int, int | None]:
    """Return the offset of the wall clock and the time of the newest event (None without one)."""
    wall_offset, newest = fetch_one(connection, SQL.read_clock)
    return wall_offset, newest
