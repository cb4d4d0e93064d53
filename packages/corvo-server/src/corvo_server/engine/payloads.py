"""Documents of callers: JSON text that is kept byte for byte, up to a limit for each kind."""

from msgspec import Struct

from corvo_schema.errors import ErrorCode
from corvo_server.engine.errors import CallError

_NO_PAYLOAD = "{}"
_WIDEST = 4
"""Bytes of a character in UTF-8, at most."""


class SizeLimits(Struct, frozen=True):
    """How large a job's documents may be, in bytes of JSON."""

    payload: int = 256 * 1024
    result: int = 1024 * 1024
    checkpoint: int = 1024 * 1024
    progress: int = 64 * 1024


def payload_text(payload: bytes | None, max_bytes: int, field: str, item: object = None) -> str:
    """The payload as text; `{}` when none was given. One that is too large is refused.

    `field` is its path in the request, for the error, with `{}` for the item among many.
    """
    if payload is None:
        return _NO_PAYLOAD
    if len(payload) > max_bytes:
        raise _too_large(field.format(item), len(payload), max_bytes, "enqueue")
    return payload.decode()


def check_size(text: str | None, max_bytes: int, field: str, item: object) -> None:
    """Refuse a document that is too large.

    `field` is its path in the request, with `{}` for the item that it belongs to among many.
    """
    if text is None or len(text) * _WIDEST <= max_bytes:
        return
    size = len(text.encode())
    if size > max_bytes:
        raise _too_large(field.format(item), size, max_bytes, "keep")


def _too_large(field: str, size: int, max_bytes: int, verb: str) -> CallError:
    return CallError(
        ErrorCode.PAYLOAD_TOO_LARGE,
        f"{field} has {size} bytes, the limit is {max_bytes}: "
        f"store large data elsewhere and {verb} a reference to it.",
        [(field, f"at most {max_bytes} bytes of JSON")],
    )
