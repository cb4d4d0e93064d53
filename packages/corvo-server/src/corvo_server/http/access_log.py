"""One line per request, gathered and written together: a write for each is too dear."""

import asyncio
import logging
from collections.abc import Callable

from sanic import HTTPResponse, Request

from corvo_server.http.request_id import request_id

_FLUSH_AFTER = 0.25
"""Seconds."""
_FLUSH_AT = 500
"""Lines."""


class AccessLog:
    """Lines of requests on their way to the log."""

    def __init__(self, write: Callable[[list[dict[str, object]]], None]) -> None:
        """`write` takes the gathered entries, oldest first."""
        self._write = write
        self._entries: list[dict[str, object]] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, request: Request, response: HTTPResponse, seconds: float) -> None:
        """Note an answered request."""
        self._entries.append(
            {
                "request_id": request_id(request),
                "method": request.method,
                "path": request.path,
                "status": response.status,
                "bytes": len(response.body or b""),
                "ms": round(seconds * 1000, 2),
                "client": request.ip,
            }
        )
        if len(self._entries) >= _FLUSH_AT:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_AFTER, self.flush)

    def flush(self) -> None:
        """Write what was gathered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._entries:
            entries, self._entries = self._entries, []
            self._write(entries)


def is_wanted() -> bool:
    """Whether the log level lets request lines through."""
    return logging.getLogger("corvo_server.request").isEnabledFor(logging.INFO)
