"""The event log, read."""

import sqlite3

from corvo_server.store.records import Event
from corvo_server.store.sqlite.rows import SQL, fetch_one, to_event


def read_events(connection: sqlite3.Connection, after: int, limit: int) -> list[Event]:
    """The next events after an id, oldest first."""
    return [to_event(row) for row in connection.execute(SQL.events_after, (after, limit))]


def last_event_id(connection: sqlite3.Connection) -> int:
    """The id of the newest event; 0 before the first."""
    (last,) = fetch_one(connection, SQL.last_event_id)
    return int(last)
