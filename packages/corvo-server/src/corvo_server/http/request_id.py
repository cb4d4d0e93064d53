"""The id of a request: the caller's `X-Request-ID` if it is valid, else a new one."""

import re
import secrets
from itertools import count

from sanic import Request

HEADER = "x-request-id"
_VALID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_prefix = secrets.token_hex(6)
_numbers = count(1)


def request_id(request: Request) -> str:
    """Return the id of the request in the log and in its reply: the same one in every call."""
    known: str | None = getattr(request.ctx, "request_id", None)
    if known is None:
        given = request.headers.getone(HEADER, None)
        known = given if given and _VALID.fullmatch(given) else f"{_prefix}-{next(_numbers)}"
        request.ctx.request_id = known
    return known
