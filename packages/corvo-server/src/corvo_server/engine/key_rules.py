"""The rules of API keys: what a change may do, decided from all stored keys. Pure functions."""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from msgspec import structs

from corvo_schema.auth import Role, RotateKeyRequest
from corvo_schema.errors import ErrorCode
from corvo_schema.masks import mask_keys
from corvo_server.auth.key_text import KeyText, hash_key
from corvo_server.store.keys import KeyChange, KeyRecord, KeyRing
from corvo_server.store.records import Refusal

Rule: TypeAlias = Callable[[KeyRing], KeyChange]

MAX_KEYS = 10_000
"""Maximum number of keys of a store. All of them are in the memory of each server."""


def create(
    ring: KeyRing, *, record: KeyRecord, text: str, now: int, may_lock_out: bool
) -> KeyChange:
    """Add a key. Its name must not be that of a valid key."""
    if _valid_named(ring, record.name, now):
        return Refusal(
            ErrorCode.INVALID_STATE,
            f"There is a valid API key with the name {record.name!r} already. Choose another name, "
            "or rotate that key.",
        )
    if len(ring.keys) >= MAX_KEYS:
        return Refusal(
            ErrorCode.INVALID_STATE, f"There are {MAX_KEYS} API keys, which is the maximum."
        )
    if not may_lock_out and not _has_admin([*ring.keys.values(), record], now):
        return Refusal(
            ErrorCode.INVALID_STATE,
            "There is no valid key of an admin, and from the first key on every call needs one: "
            "nobody could make another key. First make a key with the role admin.",
        )
    return [changed(record, hash=hash_key(ring.secret, text))]


def create_first(ring: KeyRing, *, record: KeyRecord, text: str) -> KeyChange:
    """Add a key if there was never one. Change nothing otherwise."""
    return [] if ring.keys else [changed(record, hash=hash_key(ring.secret, text))]


def revoke(ring: KeyRing, *, reference: str, now: int, may_lock_out: bool) -> KeyChange:
    """Revoke one key by its id, or all valid keys with a name."""
    found = ring.keys.get(reference)
    ended = [found] if found is not None else _valid_named(ring, reference, now)
    if not ended:
        return _not_found(reference)
    revoked = [key if key.revoked_at else changed(key, revoked_at=now) for key in ended]
    after = ring.keys | {key.id: key for key in revoked}
    had_admin = _has_admin(ring.keys.values(), now)
    if had_admin and not _has_admin(after.values(), now) and not may_lock_out:
        return Refusal(
            ErrorCode.INVALID_STATE,
            f"{reference} is the last valid key of an admin: without it nobody could make another "
            "key. First make one, or stop the server and use: corvo-server keys revoke --force.",
        )
    return revoked


def rotate(
    ring: KeyRing, *, reference: str, text: KeyText, request: RotateKeyRequest, now: int, by: str
) -> KeyChange:
    """Add a key like a valid one, which ends after its grace. Return the new and the old one."""
    old = ring.keys.get(reference)
    if old is None:
        old = max(_valid_named(ring, reference, now), key=_created, default=None)
    if old is None:
        return _not_found(reference)
    if not old.is_valid(now):
        return Refusal(
            ErrorCode.INVALID_STATE,
            f"The API key {old.id} is no longer valid. Make a new key instead of rotating it.",
        )
    lifetime = request.expires_after
    if lifetime is None and old.expires_at is not None:
        lifetime = old.expires_at - old.created_at
    new = changed(
        old,
        id=text.id,
        hash=hash_key(ring.secret, text.text),
        created_at=now,
        created_by=by,
        expires_at=None if lifetime is None else now + lifetime,
        last_used_at=None,
    )
    if not request.grace:
        return [new, changed(old, revoked_at=now)]
    end = now + request.grace
    return [new, changed(old, expires_at=min(end, old.expires_at or end))]


def changed(key: KeyRecord, **values: Any) -> KeyRecord:
    """Return a copy of `key` with other values."""
    return structs.replace(key, **values)


def _valid_named(ring: KeyRing, name: str, now: int) -> list[KeyRecord]:
    return [key for key in ring.keys.values() if key.name == name and key.is_valid(now)]


def _has_admin(keys: Iterable[KeyRecord], now: int) -> bool:
    return any(Role.ADMIN.value in key.roles and key.is_valid(now) for key in keys)


def _created(key: KeyRecord) -> int:
    return key.created_at


def _not_found(reference: str) -> Refusal:
    return Refusal(
        ErrorCode.NOT_FOUND,
        f"There is no API key with the id {mask_keys(reference)}, and no valid one with that name.",
    )
