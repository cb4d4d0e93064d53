"""The id of a request: the caller's, if it is sane, else one of ours."""

import re
import secrets
from itertools import count

from sanic import Request

HEADER = "x-request-id"
_SANE = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_prefix = secrets.token_hex(6)
_numbers = count(1)


def request_id(request: Request) -> str:
    """The id under which this request is logged and answered; the same at every call."""
    known: str | None = getattr(request.ctx, "request_id", None)
    if known is None:
        given = request.headers.getone(HEADER, None)
        known = given if given and _SANE.fullmatch(given) else f"{_prefix}-{next(_numbers)}"
        request.ctx.request_id = known
    return known
