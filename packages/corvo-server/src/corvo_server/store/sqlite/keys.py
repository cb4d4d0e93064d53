"""The tables of API keys."""

import sqlite3
from collections.abc import Sequence

from corvo_server.store.keys import KeyRecord, KeyRing, KeyUse
from corvo_server.store.rows.keys import key_values, to_key_ring
from corvo_server.store.sqlite.rows import SQL


class Keys:
    """Implements `store.commit.tables.KeyTable`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def lock(self, secret: bytes) -> KeyRing:
        self._connection.execute(SQL.create_key_ring, (secret.hex(),))
        return list_keys(self._connection)

    def save(self, keys: Sequence[KeyRecord]) -> None:
        self._connection.executemany(SQL.save_key, map(key_values, keys))
        self._connection.execute(SQL.count_key_change)

    def note_uses(self, uses: Sequence[KeyUse]) -> None:
        self._connection.executemany(SQL.note_key_use, [(use.id, use.at) for use in uses])


def list_keys(connection: sqlite3.Connection) -> KeyRing:
    """Return all keys."""
    ring = connection.execute(SQL.find_key_ring).fetchone()
    return to_key_ring(ring, connection.execute(SQL.list_keys))


def keys_version(connection: sqlite3.Connection) -> int:
    """Return the version of the keys; 0 if there was never one."""
    row = connection.execute(SQL.find_key_ring).fetchone()
    return 0 if row is None else int(row[0])
