"""Limits of callers' documents: size and nesting. A document is JSON text, stored byte for byte."""

from msgspec import Struct

from corvo_schema.errors import ErrorCode
from corvo_schema.nesting import MAX_NESTING, is_too_deep, too_deep
from corvo_server.engine.errors import CallError

_NO_PAYLOAD = "{}"
_MAX_CHARACTER_BYTES = 4
"""Maximum number of bytes of one character in UTF-8."""

_SHALLOW = 2 * (MAX_NESTING - 1)
"""Number of bytes of which a document cannot be nested too deeply."""


class SizeLimits(Struct, frozen=True):
    """Maximum sizes of a job's documents, in bytes of JSON."""

    payload: int = 256 * 1024
    result: int = 1024 * 1024
    checkpoint: int = 1024 * 1024
    progress: int = 64 * 1024


def payload_text(
    payload: bytes | None,
    max_bytes: int,
    field: str,
    item: object = None,
    *,
    max_levels: int = MAX_NESTING,
) -> str:
    """Return the payload as text; `{}` for None.

    Raise `CallError` if it is over `max_bytes` or `max_levels`.

    `field` is its path in the request, for the error; `item` replaces `{}` in it.
    """
    if payload is None:
        return _NO_PAYLOAD
    if len(payload) > max_bytes:
        raise _too_large(field.format(item), len(payload), max_bytes, "enqueue")
    if len(payload) > _SHALLOW and is_too_deep(payload, max_levels):
        raise _too_deep(field.format(item), max_levels)
    return payload.decode()


def check_document(text: str | None, max_bytes: int, field: str, item: object) -> None:
    """Raise `CallError` if a document is over `max_bytes` or nested too deeply.

    `field` is its path in the request, for the error; `item` replaces `{}` in it.
    """
    if text is None or len(text) <= min(_SHALLOW, max_bytes // _MAX_CHARACTER_BYTES):
        return
    encoded = text.encode()
    if len(encoded) > max_bytes:
        raise _too_large(field.format(item), len(encoded), max_bytes, "keep")
    if is_too_deep(encoded):
        raise _too_deep(field.format(item))


def _too_large(field: str, size: int, max_bytes: int, verb: str) -> CallError:
    return CallError(
        ErrorCode.PAYLOAD_TOO_LARGE,
        f"{field} has {size} bytes; the limit is {max_bytes}. "
        f"Store large data elsewhere and {verb} a reference to it.",
        [(field, f"at most {max_bytes} bytes of JSON")],
    )


def _too_deep(field: str, levels: int = MAX_NESTING) -> CallError:
    expected = too_deep(levels)
    return CallError(ErrorCode.VALIDATION_ERROR, f"{field}: {expected}", [(field, expected)])
