"""Calls for API keys."""

from collections.abc import Sequence
from typing import Any

from corvo_client._call import API, Call
from corvo_client._codec import build, encode, reader, segment
from corvo_client._options import AnyDuration
from corvo_schema import (
    ApiKey,
    ApiKeyRequest,
    AuthStatus,
    KeyStatusReply,
    NewApiKey,
    Role,
    RotateKeyRequest,
)

_read_status = reader(AuthStatus)
_read_keys = reader(list[ApiKey])
_read_new = reader(NewApiKey)
_read_revoked = reader(KeyStatusReply)

_KEYS = f"{API}/auth/keys"


def auth_status() -> Call[AuthStatus]:
    """Return the call that reads what the caller may do."""
    return Call("GET", f"{API}/auth/status", _read_status, repeatable=True)


def list_keys() -> Call[list[ApiKey]]:
    """Return the call that lists all keys."""
    return Call("GET", _KEYS, _read_keys, repeatable=True)


def create_key(
    name: str,
    *,
    roles: Sequence[Role | str],
    queues: Sequence[str] | None = None,
    expires_after: AnyDuration | None = None,
    max_rate: int | None = None,
    max_waiting: int | None = None,
    max_bytes: int | None = None,
) -> Call[NewApiKey]:
    """Return the call that makes a key. Raises `ValidationFailed`."""
    members: dict[str, Any] = {
        "name": name,
        "roles": [*roles],
        "expires_after": expires_after,
        "max_rate": max_rate,
        "max_waiting": max_waiting,
        "max_bytes": max_bytes,
    }
    if queues is not None:
        members["queues"] = [*queues]
    return Call("POST", _KEYS, _read_new, encode(build(ApiKeyRequest, members)))


def rotate_key(
    key: str,
    *,
    grace: AnyDuration | None = None,
    expires_after: AnyDuration | None = None,
) -> Call[NewApiKey]:
    """Return the call that replaces a key by a new one. Raises `ValidationFailed`."""
    request = build(RotateKeyRequest, {"grace": grace, "expires_after": expires_after})
    return Call("POST", f"{_KEYS}/{segment(key)}/rotate", _read_new, encode(request))


def revoke_key(key: str) -> Call[KeyStatusReply]:
    """Return the call that revokes a key, or all keys with a name."""
    return Call("DELETE", f"{_KEYS}/{segment(key)}", _read_revoked, repeatable=True)
