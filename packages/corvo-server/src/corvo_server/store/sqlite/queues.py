"""Queues: their settings and counters."""

import sqlite3

from corvo_server.store.records import PauseQueue, QueueRecord
from corvo_server.store.sqlite.rows import SQL, to_queue
from corvo_server.store.sqlite.transaction import Transaction


def set_paused(tx: Transaction, requests: list[PauseQueue]) -> list[None]:
    """Pause or resume queues, creating new ones; waiting fetches look at a resumed one."""
    for request in requests:
        tx.connection.execute(SQL.set_paused, (request.queue, request.now, request.is_paused))
        if not request.is_paused:
            tx.open_queue(request.queue)
    return [None] * len(requests)


def list_queues(connection: sqlite3.Connection, name: str | None = None) -> list[QueueRecord]:
    """All queues by name, or the one called `name`."""
    return [to_queue(row) for row in connection.execute(SQL.list_queues, (name,))]
