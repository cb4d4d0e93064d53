"""Queues: their settings and counters."""

import sqlite3

from corvo_server.store.records import (
    LimitKeys,
    LimitQueue,
    PauseQueue,
    QueueRecord,
    QueueSetting,
    ThrottleQueue,
)
from corvo_server.store.sqlite.rows import SQL, Row, to_queue
from corvo_server.store.sqlite.transaction import Transaction


def configure(tx: Transaction, settings: list[QueueSetting]) -> list[None]:
    """Change settings of queues, creating new ones; waiting fetches look at what was opened."""
    for setting in settings:
        statement, values = _update(setting)
        tx.connection.execute(statement, (setting.queue, setting.now, *values))
        tx.open_queue(setting.queue)
    return [None] * len(settings)


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


def drop(tx: Transaction, names: list[str]) -> list[bool]:
    """Forget queues that have no jobs."""
    return [tx.connection.execute(SQL.drop_queue, (name,)).rowcount == 1 for name in names]


def list_queues(connection: sqlite3.Connection, name: str | None = None) -> list[QueueRecord]:
    """All queues by name, or the one called `name`."""
    return [to_queue(row) for row in connection.execute(SQL.list_queues, (name,))]
