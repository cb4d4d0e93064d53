"""Sanic's request class, fixed for malformed URLs."""

from typing import Any

from sanic import Request
from sanic.exceptions import BadRequest


class AnyRequest(Request):
    """A request that treats a malformed URL as the path `*`, so that it is answered with 404.

    Sanic itself closes the connection: to answer 400, it creates the same request and fails again.
    """

    def __init__(self, url_bytes: bytes, *args: Any, **kwargs: Any) -> None:
        try:
            super().__init__(url_bytes, *args, **kwargs)
        except BadRequest:
            super().__init__(b"*", *args, **kwargs)
