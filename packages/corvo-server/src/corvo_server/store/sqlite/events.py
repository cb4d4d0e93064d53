"""The event log: appended to, and read."""

import sqlite3

from corvo_schema.states import EventType
from corvo_server.store.records import Event
from corvo_server.store.sqlite.inserts import Insert
from corvo_server.store.sqlite.rows import SQL, fetch_one, to_event

_INSERT = Insert(SQL.insert_event)
_WORDS = {kind: kind.value for kind in EventType}
"""`value` of an enum takes ten times as long as a look here, and every job has three events."""


class Events:
    """Implements `store.tables.EventTable`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def next_id(self) -> int:
        return last_event_id(self._connection) + 1

    def append(self, events: list[Event], seqs: list[int]) -> None:
        _INSERT.run(
            self._connection,
            [
                (event.id, _WORDS[event.type], seq, event.job_id, event.queue, event.at, event.data)
                for event, seq in zip(events, seqs, strict=True)
            ],
        )

    def prune(self, before: int, limit: int) -> int:
        return self._connection.execute(SQL.prune_events, (limit, before)).rowcount


def read_events(connection: sqlite3.Connection, after: int, limit: int) -> list[Event]:
    """The next events after an id, oldest first."""
    return [to_event(row) for row in connection.execute(SQL.events_after, (after, limit))]


def last_event_id(connection: sqlite3.Connection) -> int:
    """The id of the newest event; 0 before the first."""
    (last,) = fetch_one(connection, SQL.last_event_id)
    return int(last)
