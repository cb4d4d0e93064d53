"""The tables of API keys."""

from collections.abc import Sequence

from corvo_server.store.keys import KeyRecord, KeyRing, KeyUse
from corvo_server.store.postgres.pipeline import Pipeline
from corvo_server.store.postgres.rows import SQL
from corvo_server.store.rows.keys import key_values, to_key_ring


class Keys:
    """Implements `store.commit.tables.KeyTable`."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def lock(self, secret: bytes) -> KeyRing:
        self._pipeline.write(SQL.create_key_ring, (secret.hex(),))
        return _read(self._pipeline, SQL.lock_key_ring)

    def save(self, keys: Sequence[KeyRecord]) -> None:
        for key in keys:
            self._pipeline.write(SQL.save_key, key_values(key))
        self._pipeline.write(SQL.count_key_change)

    def note_uses(self, uses: Sequence[KeyUse]) -> None:
        for use in uses:
            self._pipeline.write(SQL.note_key_use, {"id": use.id, "at": use.at})


def list_keys(pipeline: Pipeline) -> KeyRing:
    """Return all keys."""
    return _read(pipeline, SQL.find_key_ring)


def keys_version(pipeline: Pipeline) -> int:
    """Return the version of the keys; 0 if there was never one."""
    rows = pipeline.ask(SQL.find_key_ring)
    return int(rows[0][0]) if rows else 0


def _read(pipeline: Pipeline, statement: str) -> KeyRing:
    rows = pipeline.ask(statement)
    return to_key_ring(rows[0] if rows else None, pipeline.ask(SQL.list_keys))
