"""Signatures of Standard Webhooks: HMAC-SHA256 over the id, the timestamp and the body."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence

PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64
"""Lengths of a secret in bytes."""


class MalformedSecretError(ValueError):
    """Raised for a text that is not a secret of Standard Webhooks. It does not repeat the text."""


def new_secret() -> str:
    """Return a new secret: `whsec_` and base64 of 32 random bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """Return the bytes with which a secret signs. Raise `MalformedSecretError`."""
    if not secret.startswith(PREFIX):
        raise MalformedSecretError(f"must begin with {PREFIX}")
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError:
        raise MalformedSecretError(f"must be {PREFIX} and base64") from None
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise MalformedSecretError(
            f"must be {PREFIX} and base64 of {_SHORTEST} to {_LONGEST} bytes, not {len(key)}"
        )
    return key


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the signature `v1,…` of a message. `timestamp` is in seconds since the epoch."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.digest(key_of(secret), signed, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


def headers(
    used: Sequence[str], message_id: str, timestamp: int, body: bytes
) -> list[tuple[str, str]]:
    """Return the headers of a message that is signed with each of the secrets `used`."""
    signatures = " ".join(sign(secret, message_id, timestamp, body) for secret in used)
    return [
        ("webhook-id", message_id),
        ("webhook-timestamp", str(timestamp)),
        ("webhook-signature", signatures),
    ]
