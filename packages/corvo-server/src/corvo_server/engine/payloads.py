"""Payloads: JSON text that is kept byte for byte, up to a limit."""

from corvo_schema.errors import ErrorCode
from corvo_server.engine.errors import CallError

_NO_PAYLOAD = "{}"


def payload_text(payload: bytes | None, field: str, max_bytes: int) -> str:
    """The payload as text; `{}` when none was given. One that is too large is refused.

    `field` is its path in the request, for the error.
    """
    if payload is None:
        return _NO_PAYLOAD
    if len(payload) > max_bytes:
        raise CallError(
            ErrorCode.PAYLOAD_TOO_LARGE,
            f"{field} has {len(payload)} bytes, the limit is {max_bytes}: "
            "store large data elsewhere and enqueue a reference to it.",
            [(field, f"at most {max_bytes} bytes of JSON")],
        )
    return payload.decode()
