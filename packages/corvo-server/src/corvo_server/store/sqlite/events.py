"""The event log: append, prune and read events."""

import sqlite3
from collections.abc import Collection
from itertools import groupby
from operator import attrgetter

import orjson

from corvo_schema.states import EventType
from corvo_server.store.records import Event, shorten
from corvo_server.store.rows.codes import EVENT_WORDS
from corvo_server.store.sqlite.rows import MIN_BULK_ROWS, SQL, Insert, Row, fetch_one, to_event

_INSERT = Insert(SQL.insert_event)
_SHARED_FIELDS = attrgetter("type", "queue", "at", "data")
"""The fields in which events must agree to be inserted by one statement."""


class Events:
    """Implements `store.commit.tables.EventTable`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._last_id: int | None = None
        """Id of the newest event; None if not read yet. There is no other writer."""

    def forget(self) -> None:
        """Drop the cached id, because the transaction that wrote it was rolled back."""
        self._last_id = None

    def of_jobs(self, seqs: Collection[int], types: Collection[EventType]) -> list[Event]:
        words = [EVENT_WORDS[kind] for kind in types]
        values = (orjson.dumps(list(seqs)).decode(), orjson.dumps(words).decode())
        return [to_event(row) for row in self._connection.execute(SQL.events_of_jobs, values)]

    def next_id(self) -> int:
        return (self._last_id or last_event_id(self._connection)) + 1

    def append(self, events: list[Event], seqs: list[int], *, are_jobs_there: bool) -> None:
        rows: list[Row] = []
        start = 0
        for (kind, queue, at, data), run in groupby(events, _SHARED_FIELDS):
            similar = list(run)
            end = start + len(similar)
            word = EVENT_WORDS[kind]
            if are_jobs_there and len(similar) >= MIN_BULK_ROWS:
                job_seqs = orjson.dumps(seqs[start:end]).decode()
                values = (similar[0].id, word, queue, at, data, job_seqs)
                self._connection.execute(SQL.insert_events, values)
            else:
                rows += [
                    (event.id, word, seq, event.job_id, queue, at, data)
                    for event, seq in zip(similar, seqs[start:end], strict=True)
                ]
            start = end
        _INSERT.run(self._connection, rows)
        self._last_id = events[-1].id

    def prune(self, before: int, limit: int) -> int:
        return self._connection.execute(SQL.prune_events, (limit, before)).rowcount


def read_events(
    connection: sqlite3.Connection, after: int, limit: int, max_data: int | None
) -> list[Event]:
    """Return up to `limit` events with an id above `after`, oldest first.

    Stop early, but after one event at least, if their data is longer than `max_data`.
    """
    rows = connection.execute(SQL.events_after, (after, limit))
    return shorten(map(to_event, rows), max_data)


def last_event_id(connection: sqlite3.Connection) -> int:
    """Return the id of the newest event; 0 if there are none."""
    (last,) = fetch_one(connection, SQL.last_event_id)
    return int(last)
