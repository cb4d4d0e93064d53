"""The text of API keys: how it is made, checked and hashed.

A key looks like `corvo_<id>_<secret><checksum>`. Its id is public: it finds the key in the store
and may stand in logs. The secret has 256 random bits. The checksum finds keys that were cut or
mistyped without a look at the store.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from typing import NamedTuple

PREFIX = "corvo_"
SECRET_BYTES = 32
"""Length of the secret with which the server hashes keys."""

_ALPHABET = string.digits + string.ascii_letters
_ID_LENGTH, _SECRET_LENGTH, _CHECKSUM_LENGTH = 12, 43, 6
_KEY = re.compile(f"{PREFIX}([0-9A-Za-z]{{{_ID_LENGTH}}})_[0-9A-Za-z]{{49}}")
_WITHIN_TEXT = re.compile(f"({PREFIX}[0-9A-Za-z]{{{_ID_LENGTH}}})_[0-9A-Za-z_]+")
"""Also of keys that were written one after another, and of a part of a secret."""
_HINT = (
    f"A key has {len(PREFIX) + _ID_LENGTH + 1 + _SECRET_LENGTH + _CHECKSUM_LENGTH} characters and "
    f"begins with {PREFIX}."
)


class KeyText(NamedTuple):
    """A key as its owner has it, and the public id in it."""

    id: str
    text: str


class MalformedKeyError(ValueError):
    """Raised for a text that no server has ever given out as a key. It does not repeat the text."""


def new_key() -> KeyText:
    """Return a new key."""
    key_id = PREFIX + _random(_ID_LENGTH)
    body = f"{key_id}_{_random(_SECRET_LENGTH)}"
    return KeyText(key_id, body + _checksum(body))


def read_key(text: str) -> KeyText:
    """Return the key in `text`. Raise `MalformedKeyError` with a reason if it is none."""
    match = _KEY.fullmatch(text)
    if match is None:
        raise MalformedKeyError(_reason(text))
    if _checksum(text[:-_CHECKSUM_LENGTH]) != text[-_CHECKSUM_LENGTH:]:
        raise MalformedKeyError("a character of it was changed. Copy it again")
    return KeyText(PREFIX + match[1], text)


def hash_key(secret: bytes, text: str) -> bytes:
    """Return the hash under which a key is stored. `secret` belongs to the server."""
    return hmac.digest(secret, text.encode(), hashlib.sha256)


def mask_keys(text: str) -> str:
    """Return `text` with the secrets of all keys in it replaced, for logs and errors."""
    return _WITHIN_TEXT.sub(r"\1_…", text) if PREFIX in text else text


def _reason(text: str) -> str:
    if text.count(PREFIX) > 1:
        return "it contains more than one key. Send one"
    if text.strip() != text:
        return "it has blanks around it. Copy it again"
    if text.startswith(PREFIX) and len(text) < len(new_key().text):
        return f"it was cut. {_HINT} Copy it again"
    return f"it does not look like one. {_HINT}"


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(text: str) -> str:
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits += _ALPHABET[digit]
    return digits
