"""Cursors of searches: where the next page begins, in a form that tells nothing and cannot lie.

A cursor belongs to one search: it carries a fingerprint of the filters and the order, and is
refused by any other. What is in it is checked by type, so that a forged one is merely useless.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import Annotated

import orjson
from msgspec import DecodeError, Meta, Struct, ValidationError, msgpack

from corvo_schema import SearchRequest
from corvo_schema.errors import ErrorCode
from corvo_server.engine.errors import CallError
from corvo_server.store.search.search import Position, Total

_VERSION = 1

_Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class Cursor(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The state of a walk through the pages of a search."""

    version: Annotated[int, Meta(ge=_VERSION, le=_VERSION)]
    fingerprint: bytes
    key: _Int64 | str | None
    seq: Annotated[int, Meta(ge=0, lt=2**62)]
    as_of: _Int64
    total: _Int64
    is_exact: bool

    @classmethod
    def of(cls, request: SearchRequest, next_: Position, total: Total, as_of: int) -> "Cursor":
        """The cursor of the page of `request` that begins behind `next_`."""
        return cls(
            _VERSION,
            _fingerprint(request),
            next_.key,
            next_.seq,
            as_of,
            total.jobs,
            total.is_exact,
        )

    @classmethod
    def read(cls, text: str, request: SearchRequest) -> "Cursor":
        """The cursor that stands as `text` in `request`. Raises `CallError`."""
        try:
            cursor = msgpack.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=cls)
        except (ValueError, DecodeError, ValidationError):
            raise _refusal("is none that this server gave") from None
        if cursor.fingerprint != _fingerprint(request):
            raise _refusal("belongs to a search with other filters or another order")
        return cursor

    def write(self) -> str:
        """The cursor as text for a URL or a body."""
        return urlsafe_b64encode(msgpack.encode(self)).rstrip(b"=").decode()

    @property
    def position(self) -> Position:
        """The last job of the page before."""
        return Position(self.key, self.seq)


def _fingerprint(request: SearchRequest) -> bytes:
    """What makes a search the same search: all but the size of the page."""
    asked = request.model_dump(mode="json", exclude={"limit", "cursor"}, exclude_defaults=True)
    asked["state"] = sorted(set(request.state))
    text = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)
    return blake2b(text, digest_size=8).digest()


def _refusal(reason: str) -> CallError:
    return CallError(
        ErrorCode.VALIDATION_ERROR,
        f"The cursor {reason}; begin again without one.",
        [("cursor", reason)],
    )
