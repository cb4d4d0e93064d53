"""Queues: their settings and counters."""

import sqlite3
from collections.abc import Collection

from corvo_server.store.records import (
    LimitKeys,
    LimitQueue,
    PauseQueue,
    QueueRecord,
    QueueSetting,
    ThrottleQueue,
)
from corvo_server.store.sqlite.rows import SQL, Row, to_queue
from corvo_server.store.tables import QueueCount


class Queues:
    """Implements `store.tables.QueueTable`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def limited(self, names: Collection[str]) -> set[str]:
        execute = self._connection.execute
        rows = [(name, execute(SQL.is_limited, (name,)).fetchone()) for name in names]
        return {name for name, row in rows if row is not None and row[0]}

    def count(self, counts: list[QueueCount]) -> None:
        self._connection.executemany(SQL.count_queue, counts)

    def configure(self, setting: QueueSetting) -> None:
        statement, values = _update(setting)
        self._connection.execute(statement, (setting.queue, setting.now, *values))

    def drop(self, name: str) -> bool:
        return self._connection.execute(SQL.drop_queue, (name,)).rowcount == 1

    def fold(self, now: int, limit: int) -> int:
        return 0  # there is one server, and no counts of its own


def _update(setting: QueueSetting) -> tuple[str, Row]:
    """The statement for a setting, and its values after name and time."""
    match setting:
        case PauseQueue(is_paused=is_paused, is_draining=is_draining):
            return SQL.set_paused, (is_paused, is_draining)
        case LimitQueue(max_concurrency=limit):
            return SQL.set_max_concurrency, (limit,)
        case LimitKeys(max_per_key=limit):
            return SQL.set_max_per_key, (limit,)
        case ThrottleQueue(rate=rate, window=window):
            return SQL.set_throttle, (rate, window)


def list_queues(connection: sqlite3.Connection, name: str | None = None) -> list[QueueRecord]:
    """All queues by name, or the one called `name`."""
    return [to_queue(row) for row in connection.execute(SQL.list_queues, (name,))]
