"""The table of queues: settings and counters."""

import sqlite3
from collections.abc import Collection

from corvo_server.store.commit.tables import QueueCount
from corvo_server.store.options import JobOptions, read_options
from corvo_server.store.queues import (
    QueueDefaults,
    QueueRecord,
    QueueSetting,
    QueueSettings,
)
from corvo_server.store.rows.queues import setting_update, to_settings
from corvo_server.store.sqlite.rows import SQL, to_queue


class Queues:
    """Implements `store.commit.tables.QueueTable`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._defaults: dict[str, JobOptions] | None = None
        """Defaults of all queues, as the open transaction sees them; None: read them again."""

    def forget(self) -> None:
        """Read the defaults again, after a rollback."""
        self._defaults = None

    def touch(self) -> None:
        self._connection.execute(SQL.touch)

    def limited(self, names: Collection[str]) -> set[str]:
        execute = self._connection.execute
        rows = [(name, execute(SQL.is_limited, (name,)).fetchone()) for name in names]
        return {name for name, row in rows if row is not None and row[0]}

    def count(self, counts: list[QueueCount]) -> None:
        self._connection.executemany(SQL.count_queue, counts)

    def defaults(self, names: Collection[str]) -> dict[str, JobOptions]:
        if self._defaults is None:
            rows = self._connection.execute(SQL.all_defaults)
            self._defaults = {name: read_options(text, JobOptions) for name, text in rows}
        return self._defaults

    def configure(self, setting: QueueSetting) -> None:
        self.forget()
        self._connection.execute(*setting_update(SQL, setting))

    def settings(self, name: str) -> QueueSettings:
        row = self._connection.execute(SQL.queue_settings, (name,)).fetchone()
        return QueueSettings() if row is None else to_settings(row)

    def active(self, name: str) -> int:
        row = self._connection.execute(SQL.active_of_queue, (name,)).fetchone()
        return 0 if row is None else int(row[0])

    def ensure(self, name: str, now: int) -> None:
        self._connection.execute(SQL.ensure_queue, (name, now))

    def reset(self, name: str) -> None:
        self._connection.execute(SQL.reset_queue, (name,))
        self._clear_defaults(name)

    def drop(self, name: str) -> bool:
        is_dropped = self._connection.execute(SQL.drop_queue, (name,)).rowcount == 1
        if is_dropped:
            self._clear_defaults(name)
        return is_dropped

    def _clear_defaults(self, name: str) -> None:
        self._connection.execute(SQL.clear_defaults, (name,))
        self.forget()

    def fold(self, now: int, limit: int) -> int:
        return 0  # one server has only one set of counters


def list_queues(connection: sqlite3.Connection, name: str | None = None) -> list[QueueRecord]:
    """Return all queues sorted by name, or only the one called `name`."""
    return [to_queue(row) for row in connection.execute(SQL.list_queues, (name,))]


def find_queue(connection: sqlite3.Connection, name: str) -> QueueRecord | None:
    """Return a queue with its defaults; None if it does not exist."""
    for record in list_queues(connection, name):
        row = connection.execute(SQL.find_defaults, (name,)).fetchone()
        if row is not None:
            record.defaults = QueueDefaults(read_options(row[0], JobOptions), row[1], row[2])
        return record
    return None
