"""Records of API keys that the engine and a store exchange. Times are in ms since the epoch."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from msgspec import Struct

from corvo_server.store.audit import Audit
from corvo_server.store.records import Refusal


class KeyRecord(Struct, frozen=True):
    """An API key, of which only a hash is stored. A revoked key stays, so that its id is known."""

    id: str
    """Public part of the key's text."""
    name: str
    hash: bytes
    roles: tuple[str, ...]
    queues: tuple[str, ...] | None
    """Patterns of the queues that the key may see and use; None means all."""
    created_at: int
    created_by: str
    """Name of the key that made this one."""
    expires_at: int | None = None
    revoked_at: int | None = None
    last_used_at: int | None = None
    max_rate: int | None = None
    """Requests a second; None, here and below: no limit."""
    max_waiting: int | None = None
    """Jobs enqueued with the key that may wait at once."""
    max_bytes: int | None = None
    """Bytes of the payloads of the stored jobs that were enqueued with the key."""

    def is_valid(self, now: int) -> bool:
        """Return whether the key is accepted at `now`."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class KeyRing(Struct, frozen=True):
    """All keys of a store."""

    version: int
    """Number that rises with each change of the keys, except that of `last_used_at`."""
    secret: bytes
    """Secret with which keys are hashed; empty if there was never a key."""
    keys: dict[str, KeyRecord]
    """Keys by id, also revoked and expired ones."""


KeyChange: TypeAlias = Sequence[KeyRecord] | Refusal
"""The records to store, new ones and changed ones."""


class KeyEdit(Struct, frozen=True):
    """A request to change keys by a rule, which sees all keys."""

    decide: Callable[[KeyRing], KeyChange]
    """The pure rule with its request bound in. The secret of the ring is never empty."""
    secret: bytes
    """Secret for a store that has none."""
    audit: Audit | None = None


class KeyUse(Struct, frozen=True):
    """The time in ms of the last call with a key."""

    id: str
    at: int
