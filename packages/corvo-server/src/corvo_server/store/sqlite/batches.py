"""Batches as they stand."""

import sqlite3

from corvo_server.store.records import BatchRecord
from corvo_server.store.sqlite.rows import SQL


def find_batch(connection: sqlite3.Connection, batch_id: str) -> BatchRecord | None:
    """One batch with its counts."""
    row = connection.execute(SQL.find_batch, (batch_id,)).fetchone()
    return None if row is None else BatchRecord(*row)
