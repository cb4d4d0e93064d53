"""Checks the signatures of requests to sources, in the forms of `SignatureForm`. Pure functions.

Each comparison takes the same time for every signature of the same length.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from corvo_schema.webhooks import SignatureForm
from corvo_server.webhooks.signing import MalformedSecretError, sign

TOLERANCE = 300
"""Seconds by which the timestamp of a signed request may differ from the clock of this server."""
SIGNATURE_HEADERS = {
    SignatureForm.STANDARD: "webhook-signature",
    SignatureForm.GITHUB: "x-hub-signature-256",
    SignatureForm.STRIPE: "stripe-signature",
    SignatureForm.TOKEN: "x-webhook-token",
}
"""The header of the signature, unless the source names another."""
ID_HEADERS: dict[str, str | None] = {
    SignatureForm.STANDARD: "webhook-id",
    SignatureForm.GITHUB: "x-github-delivery",
    SignatureForm.STRIPE: None,
    SignatureForm.TOKEN: "webhook-id",
}
"""The header of the delivery's id, unless the source names another. None: the body has it."""
_TIMESTAMP_HEADER = "webhook-timestamp"
_SIGNED_ID_HEADER = "webhook-id"
_MAX_SIGNATURES = 16
"""Maximum number of signatures of a request that are compared."""


class Signing(NamedTuple):
    """How a sender signs its requests."""

    form: str
    header: str | None
    """Name of the header; None for that of the form."""
    secrets: Sequence[str]
    """The secrets that are accepted."""


def is_signed(how: Signing, headers: Mapping[str, str], body: bytes, now: int) -> bool:
    """Return whether a request has a valid signature with one of the secrets.

    Names of `headers` are in lower case. `now` is in seconds since the epoch.
    """
    form, header, used = how
    known = {member.value: member for member in SignatureForm}.get(form)
    if known is None:  # a newer server has stored this source
        return False
    given = headers.get(header or SIGNATURE_HEADERS[known], "")
    if not given:
        return False
    if known is SignatureForm.STANDARD:
        return _is_standard(given, used, headers, body, now)
    if known is SignatureForm.STRIPE:
        return _is_stripe(given, used, body, now)
    if known is SignatureForm.GITHUB:
        expected = (f"sha256={_hex_digest(secret, body)}" for secret in used)
        return _has_equal([given], expected)
    return _has_equal([given], used)


def _is_standard(
    given: str, used: Sequence[str], headers: Mapping[str, str], body: bytes, now: int
) -> bool:
    timestamp = _recent(headers.get(_TIMESTAMP_HEADER, ""), now)
    message_id = headers.get(_SIGNED_ID_HEADER, "")
    if timestamp is None or not message_id:
        return False
    expected: list[str] = []
    for secret in used:
        with suppress(MalformedSecretError):
            expected.append(sign(secret, message_id, timestamp, body))
    return _has_equal(given.split(" ")[:_MAX_SIGNATURES], expected)


def _is_stripe(given: str, used: Sequence[str], body: bytes, now: int) -> bool:
    parts = [part.strip().partition("=") for part in given.split(",")[: _MAX_SIGNATURES + 1]]
    times = [value for name, _, value in parts if name == "t"]
    signatures = [value for name, _, value in parts if name == "v1"]
    timestamp = _recent(times[0], now) if len(times) == 1 else None
    if timestamp is None:
        return False
    signed = f"{times[0]}.".encode() + body
    return _has_equal(signatures, (_hex_digest(secret, signed) for secret in used))


def _recent(text: str, now: int) -> int | None:
    """Return a timestamp in seconds; None if it is malformed or too far from `now`."""
    if not (text.isascii() and text.isdigit() and len(text) <= 12) or text != str(int(text)):
        return None
    return int(text) if abs(int(text) - now) <= TOLERANCE else None


def _hex_digest(secret: str, body: bytes) -> str:
    return hmac.digest(secret.encode(), body, hashlib.sha256).hex()


def _has_equal(given: Iterable[str], expected: Iterable[str]) -> bool:
    texts = [text.encode(errors="surrogateescape") for text in given]
    found = False
    for wanted in expected:
        for text in texts:
            found |= hmac.compare_digest(text, wanted.encode())
    return found
