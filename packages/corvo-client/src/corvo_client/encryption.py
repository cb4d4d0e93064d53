"""Encryption of payloads, results, checkpoints and errors. Needs an extra.

Install it with `pip install "corvo-client[encryption]"`. The server and its database see only
ciphertext. All programs that write or read the jobs need the same keys.
"""

import base64
import hmac
import json
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ModuleNotFoundError as error:
    error.add_note('Run: pip install "corvo-client[encryption]"')
    raise

from corvo_client._documents import AboutDocument, DocumentKind
from corvo_client._errors import AlreadyEncoded, CannotDecode, InvalidSetting

__all__ = ["EncryptionCodec", "codec_from", "new_key"]

_NAME = "$corvo_encrypted"
_PREFIX = b'{"%b":' % _NAME.encode()
_VERSION = 1
_KEY_BYTES = 32
_SALT_BYTES = 16
_NONCE_BYTES = 12
_TAG_BYTES = 16
_KEY_ID = re.compile("[A-Za-z0-9._-]{1,64}")
_ENVELOPE = re.compile(
    rb'\{"\$corvo_encrypted":\{"v":1,"kid":"([A-Za-z0-9._-]{1,64})","data":"([A-Za-z0-9+/=]+)"\}\}'
)
"""What `encode` writes. Other notations of the same JSON are read, too, but more slowly."""
_SWITCHES = {"": False, "0": False, "false": False, "1": True, "true": True}
# What a handler gets. Errors and messages can also be texts of the server.
_REQUIRED = frozenset(
    {
        DocumentKind.PAYLOAD,
        DocumentKind.CALLBACK_PAYLOAD,
        DocumentKind.CHECKPOINT,
        DocumentKind.RESULT,
    }
)


class EncryptionCodec:
    """A `Codec` that encrypts with AES-256-GCM.

    `keys` has 32 bytes by key id, of 1 to 64 characters from A-Z a-z 0-9 . _ -. The first key
    encrypts; all of them decrypt. With `require`, a payload, checkpoint or result that is not
    encrypted is refused. Raises `InvalidSetting`, whose message contains no key.

    Each document gets a key of its own, derived from the key and a random salt, so the number of
    documents has no limit. The key id, the kind of the document and, except for payloads, the job
    id are authenticated: a server cannot exchange documents of different kinds or jobs.
    """

    def __init__(self, keys: Mapping[str, bytes], *, require: bool = False) -> None:
        if not keys:
            raise InvalidSetting("a key ring needs at least one key; make one with new_key()")
        for key_id, key in keys.items():
            _check(key_id, key)
        self._keys = dict(keys)
        self._current = next(iter(keys))
        self._repeat_key = _derived(self._keys[self._current], b"repeats", b"")
        self._require = require

    @classmethod
    def from_text(cls, text: str, *, require: bool = False, source: str = "the keys") -> Self:
        """Return the codec of keys in the form `id:base64`, one per line or with commas.

        Text from `#` to the end of a line is ignored. `source` says where the text is from.
        """
        keys: dict[str, bytes] = {}
        plain = "\n".join(line.partition("#")[0] for line in text.splitlines())
        for number, entry in enumerate(re.findall(r"[^\s,]+", plain), start=1):
            key_id, _, written = entry.partition(":")
            try:
                key = base64.b64decode(written, validate=True)
                _check(key_id, key)
            except ValueError:
                # Not the entry itself: it is a secret, or a part of one.
                raise InvalidSetting(
                    f"key {number} of {source} is not id:base64 with 32 bytes; make one with "
                    "`corvo codec new-key`"
                ) from None
            if key_id in keys:
                raise InvalidSetting(f"{source}: there are two keys with the id {key_id!r}")
            keys[key_id] = key
        if not keys:
            raise InvalidSetting(f"{source}: there is no key; make one with `corvo codec new-key`")
        return cls(keys, require=require)

    @classmethod
    def from_file(cls, path: str | Path, *, require: bool = False) -> Self:
        """Return the codec of the keys in a file; see `from_text`."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise InvalidSetting(f"cannot read the keys in {path}: {reason}") from None
        return cls.from_text(text, require=require, source=str(path))

    @property
    def key_ids(self) -> list[str]:
        """Ids of the keys. The first one encrypts."""
        return list(self._keys)

    def __repr__(self) -> str:
        return f"EncryptionCodec(key_ids={self.key_ids!r}, require={self._require})"

    def encode(self, document: bytes, about: AboutDocument) -> bytes:
        """Return the encrypted document. Raises `AlreadyEncoded` for what looks encrypted."""
        if _looks_encrypted(document):
            raise AlreadyEncoded(f"the {about.kind} is encrypted already, or looks like it")
        key_id = self._current
        context = _context(key_id, about)
        size = _SALT_BYTES + _NONCE_BYTES
        if about.repeat_id is None:
            start = os.urandom(size)
        else:
            given = b"%b\0%b\0%b" % (context, about.repeat_id.encode(), document)
            start = hmac.digest(self._repeat_key, given, "sha256")[:size]
        salt, nonce = start[:_SALT_BYTES], start[_SALT_BYTES:]
        cipher = AESGCM(_derived(self._keys[key_id], b"document", salt))
        data = base64.b64encode(start + cipher.encrypt(nonce, document, context))
        return b'%b{"v":%d,"kid":"%b","data":"%b"}}' % (_PREFIX, _VERSION, key_id.encode(), data)

    def decode(self, document: bytes, about: AboutDocument) -> bytes:
        """Return the plain document. Raises `CannotDecode`."""
        if not _looks_encrypted(document):
            if self._require and about.kind in _REQUIRED:
                raise CannotDecode(
                    f"the {about.kind} is not encrypted, and the codec of this process requires it"
                )
            return document
        key_id, data = _read(document, about)
        key = self._keys.get(key_id)
        if key is None:
            raise CannotDecode(
                f"the {about.kind} is encrypted with the key {key_id!r}, which this process does "
                f"not have (it has {', '.join(self._keys)}); add it to the keys"
            )
        salt, nonce = data[:_SALT_BYTES], data[_SALT_BYTES : _SALT_BYTES + _NONCE_BYTES]
        cipher = AESGCM(_derived(key, b"document", salt))
        try:
            return cipher.decrypt(
                nonce, data[_SALT_BYTES + _NONCE_BYTES :], _context(key_id, about)
            )
        except InvalidTag:
            raise CannotDecode(
                f"the {about.kind} cannot be decrypted with the key {key_id!r}: it was changed, "
                "belongs to another job, or another key has the same id"
            ) from None


def new_key(key_id: str | None = None) -> str:
    """Return a new random key in the form `id:base64`. The default id has the date."""
    if key_id is None:
        key_id = f"{datetime.now(UTC):%Y-%m-%d}-{os.urandom(2).hex()}"
    key = os.urandom(_KEY_BYTES)
    _check(key_id, key)
    return f"{key_id}:{base64.b64encode(key).decode()}"


def codec_from(environment: Mapping[str, str]) -> EncryptionCodec | None:
    """Return the codec of CORVO_CODEC_KEYS or CORVO_CODEC_KEYS_FILE, or None if none is set.

    CORVO_CODEC_REQUIRE sets its `require`. A file is read once per process.
    """
    text = environment.get("CORVO_CODEC_KEYS") or None
    path = environment.get("CORVO_CODEC_KEYS_FILE") or None
    if text is None and path is None:
        return None
    if text is not None and path is not None:
        raise InvalidSetting("set either CORVO_CODEC_KEYS or CORVO_CODEC_KEYS_FILE, not both")
    required = environment.get("CORVO_CODEC_REQUIRE", "").lower()
    if required not in _SWITCHES:
        raise InvalidSetting(f"CORVO_CODEC_REQUIRE must be true or false, not {required!r}")
    return _codec_of(text, path, require=_SWITCHES[required])


@lru_cache(maxsize=8)
def _codec_of(text: str | None, path: str | None, *, require: bool) -> EncryptionCodec:
    if path is not None:
        return EncryptionCodec.from_file(path, require=require)
    return EncryptionCodec.from_text(text or "", require=require, source="CORVO_CODEC_KEYS")


def _check(key_id: str, key: bytes) -> None:
    if not _KEY_ID.fullmatch(key_id):
        raise InvalidSetting(
            "the id of a key must be 1 to 64 characters from A-Z a-z 0-9 . _ - , e.g. 2026-01"
        )
    if len(key) != _KEY_BYTES:
        raise InvalidSetting(f"key {key_id!r} must have {_KEY_BYTES} bytes, not {len(key)}")


def _derived(key: bytes, purpose: bytes, salt: bytes) -> bytes:
    return hmac.digest(key, b"corvo\0v%d\0%b\0%b" % (_VERSION, purpose, salt), "sha256")


def _context(key_id: str, about: AboutDocument) -> bytes:
    """Return what is authenticated with a document. No part can contain the separator."""
    return f"corvo\0v{_VERSION}\0{key_id}\0{about.kind}\0{about.job_id or ''}".encode()


def _looks_encrypted(document: bytes) -> bool:
    if document.startswith(_PREFIX):
        return True
    if _NAME.encode() not in document and b"\\u" not in document:
        return False
    found = _parsed(document)
    return isinstance(found, dict) and _NAME in found


def _read(document: bytes, about: AboutDocument) -> tuple[str, bytes]:
    """Return the key id and the data of an envelope. Raises `CannotDecode`."""
    if (written := _ENVELOPE.fullmatch(document)) is None:
        envelope = json.dumps(_parsed(document), separators=(",", ":"))
        written = _ENVELOPE.fullmatch(envelope.encode())
    if written is not None:
        data = _canonical(written[2])
        if len(data) >= _SALT_BYTES + _NONCE_BYTES + _TAG_BYTES:
            return written[1].decode(), data
    match _parsed(document):
        case {"$corvo_encrypted": {"v": int(version)}} if version != _VERSION:
            raise CannotDecode(
                f"the {about.kind} is encrypted in a form that this version does not know "
                f"(v{version}); upgrade corvo-client"
            )
    raise CannotDecode(f"the {about.kind} looks encrypted, but it is damaged")


def _canonical(written: bytes) -> bytes:
    """Decode base64; return nothing if it is not what encoding the result gives."""
    try:
        data = base64.b64decode(written, validate=True)
    except ValueError:
        return b""
    return data if base64.b64encode(data) == written else b""


def _parsed(document: bytes) -> Any:
    try:
        return json.loads(document, parse_int=_whole, parse_float=str)
    except (ValueError, RecursionError):
        return None


def _whole(text: str) -> int | str:
    # Python refuses integers of more than 4,300 digits.
    return int(text) if len(text) < 10 else text
