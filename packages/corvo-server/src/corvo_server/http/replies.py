"""JSON replies."""

from typing import Any

import orjson
from sanic import HTTPResponse


def reply(data: Any, status: int = 200) -> HTTPResponse:
    """`data` as JSON."""
    return HTTPResponse(orjson.dumps(data), status=status, content_type="application/json")


def no_content() -> HTTPResponse:
    """204: nothing came."""
    return HTTPResponse(status=204)


def raw(text: str | None) -> orjson.Fragment | None:
    """A stored document, spliced into a reply as it was sent; None is `null`."""
    return None if text is None else orjson.Fragment(text)
