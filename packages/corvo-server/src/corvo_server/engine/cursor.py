"""Cursors of searches: opaque text that encodes where the next page starts.

A cursor belongs to one search. It carries a fingerprint of the filters and the order; any other
search refuses it. The types of its fields are checked, so a forged cursor can do no harm.
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
    """Position within the pages of a search, with the time and the total of its first page."""

    version: Annotated[int, Meta(ge=_VERSION, le=_VERSION)]
    fingerprint: bytes
    key: _Int64 | str | None
    seq: Annotated[int, Meta(ge=0, lt=2**62)]
    as_of: _Int64
    total: _Int64
    is_exact: bool

    @classmethod
    def of(cls, request: SearchRequest, next_: Position, total: Total, as_of: int) -> "Cursor":
        """Return the cursor of the page of `request` that starts after `next_`."""
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
        """Decode the cursor `text` of `request`. Raise `CallError` if it is invalid."""
        try:
            cursor = msgpack.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=cls)
        except (ValueError, DecodeError, ValidationError):
            raise _refusal("was not issued by this server") from None
        if cursor.fingerprint != _fingerprint(request):
            raise _refusal("belongs to a search with other filters or another order")
        return cursor

    def write(self) -> str:
        """Return the cursor as text for a URL or a body."""
        return urlsafe_b64encode(msgpack.encode(self)).rstrip(b"=").decode()

    @property
    def position(self) -> Position:
        """Position of the last job of the previous page."""
        return Position(self.key, self.seq)


def _fingerprint(request: SearchRequest) -> bytes:
    """Return a hash of the filters and the order; page size and cursor do not matter."""
    fields = request.model_dump(mode="json", exclude={"limit", "cursor"}, exclude_defaults=True)
    fields["state"] = sorted(set(request.state))
    text = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
    return blake2b(text, digest_size=8).digest()


def _refusal(reason: str) -> CallError:
    return CallError(
        ErrorCode.VALIDATION_ERROR,
        f"The cursor {reason}; start again without a cursor.",
        [("cursor", reason)],
    )
