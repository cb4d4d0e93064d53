"""Requests as Sanic has them, but for one case in which it gives no answer."""

from typing import Any

from sanic import Request
from sanic.exceptions import BadRequest


class AnyRequest(Request):
    """A request whose URL cannot be read asks for `*`, and gets an answer: there is no such thing.

    To answer that an URL is bad, Sanic makes a request of it once more, fails again and hangs up.
    """

    def __init__(self, url_bytes: bytes, *args: Any, **kwargs: Any) -> None:
        try:
            super().__init__(url_bytes, *args, **kwargs)
        except BadRequest:
            super().__init__(b"*", *args, **kwargs)
