"""Size limits of callers' documents. A document is JSON text, stored byte for byte."""

from msgspec import Struct

from corvo_schema.errors import ErrorCode
from corvo_server.engine.errors import CallError

_NO_PAYLOAD = "{}"
_MAX_CHARACTER_BYTES = 4
"""Maximum number of bytes of one character in UTF-8."""


class SizeLimits(Struct, frozen=True):
    """Maximum sizes of a job's documents, in bytes of JSON."""

    payload: int = 256 * 1024
    result: int = 1024 * 1024
    checkpoint: int = 1024 * 1024
    progress: int = 64 * 1024


def payload_text(payload: bytes | None, max_bytes: int, field: str, item: object = None) -> str:
    """Return the payload as text; `{}` for None. Raise `CallError` if it is over `max_bytes`.

    `field` is its path in the request, for the error; `item` replaces `{}` in it.
    """
    if payload is None:
        return _NO_PAYLOAD
    if len(payload) > max_bytes:
        raise _too_large(field.format(item), len(payload), max_bytes, "enqueue")
    return payload.decode()


def check_size(text: str | None, max_bytes: int, field: str, item: object) -> None:
    """Raise `CallError` if a document is over `max_bytes`.

    `field` is its path in the request, for the error; `item` replaces `{}` in it.
    """
    if text is None or len(text) * _MAX_CHARACTER_BYTES <= max_bytes:
        return
    size = len(text.encode())
    if size > max_bytes:
        raise _too_large(field.format(item), size, max_bytes, "keep")


def _too_large(field: str, size: int, max_bytes: int, verb: str) -> CallError:
    return CallError(
        ErrorCode.PAYLOAD_TOO_LARGE,
        f"{field} has {size} bytes; the limit is {max_bytes}. "
        f"Store large data elsewhere and {verb} a reference to it.",
        [(field, f"at most {max_bytes} bytes of JSON")],
    )
