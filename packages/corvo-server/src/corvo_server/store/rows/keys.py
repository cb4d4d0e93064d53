"""Convert between rows of API keys and records, the same on every engine."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from corvo_server.store.keys import KeyRecord, KeyRing

NO_KEYS = KeyRing(0, b"", {})
"""The keys of a store in which no key was ever made."""


def key_values(key: KeyRecord) -> tuple[Any, ...]:
    """Return the values of a row of `api_keys`."""
    return (
        key.id,
        key.name,
        key.hash.hex(),
        orjson.dumps(key.roles).decode(),
        None if key.queues is None else orjson.dumps(key.queues).decode(),
        key.created_at,
        key.created_by,
        key.expires_at,
        key.revoked_at,
        key.last_used_at,
        key.max_rate,
        key.max_waiting,
        key.max_bytes,
    )


def to_key_ring(ring: Sequence[Any] | None, rows: Iterable[Sequence[Any]]) -> KeyRing:
    """Return all keys, from the row of `key_ring` (None without one) and those of `api_keys`."""
    if ring is None:
        return NO_KEYS
    version, secret = ring
    keys = [_to_key(row) for row in rows]
    return KeyRing(version, bytes.fromhex(secret), {key.id: key for key in keys})


def _to_key(row: Sequence[Any]) -> KeyRecord:
    key_id, name, hashed, roles, queues, *others = row
    return KeyRecord(
        key_id,
        name,
        bytes.fromhex(hashed),
        tuple(orjson.loads(roles)),
        None if queues is None else tuple(orjson.loads(queues)),
        *others,
    )
