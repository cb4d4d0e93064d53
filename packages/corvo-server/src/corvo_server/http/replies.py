"""JSON replies."""

import json
import re
from typing import Any

import orjson
from sanic import HTTPResponse

_NOT_ASCII = re.compile(r"[^\0-\x7f]+")


def reply(data: Any, status: int = 200) -> HTTPResponse:
    """`data` as JSON."""
    return HTTPResponse(orjson.dumps(data), status=status, content_type="application/json")


def message_data(data: Any) -> bytes:
    """`data` as JSON for a server-sent event, in ASCII.

    Readers that break lines at whatever Unicode breaks them at, or take the stream for Latin-1, as
    the rules for text without a charset have it, would lose or garble other characters.
    """
    text = orjson.dumps(data)
    return text if text.isascii() else _NOT_ASCII.sub(_escape, text.decode()).encode()


def _escape(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]


def no_content() -> HTTPResponse:
    """204: nothing came."""
    return HTTPResponse(status=204)


def raw(text: str | None) -> orjson.Fragment | None:
    """A stored document, spliced into a reply as it was sent; None is `null`."""
    return None if text is None else orjson.Fragment(text)
