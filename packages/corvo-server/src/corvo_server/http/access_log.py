"""The access log: one line per request, written in batches because a write is expensive."""

import asyncio
import logging
from collections.abc import Callable

from sanic import HTTPResponse, Request

from corvo_server.http.proxies import client_address
from corvo_server.http.request_id import request_id

_FLUSH_AFTER = 0.25
"""Maximum age of a buffered line in seconds."""
_FLUSH_AT = 500
"""Number of buffered lines that triggers a write."""


class AccessLog:
    """Buffers the log lines of requests and writes them together."""

    def __init__(self, write: Callable[[list[dict[str, object]]], None]) -> None:
        """`write` gets the buffered entries, oldest first."""
        self._write = write
        self._entries: list[dict[str, object]] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, request: Request, response: HTTPResponse, seconds: float) -> None:
        """Add the line of an answered request, which took `seconds`."""
        self._entries.append(
            {
                "request_id": request_id(request),
                "method": request.method,
                "path": request.path,
                "status": response.status,
                "bytes": len(response.body or b""),
                "ms": round(seconds * 1000, 2),
                "client": client_address(request),
            }
        )
        if len(self._entries) >= _FLUSH_AT:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_AFTER, self.flush)

    def flush(self) -> None:
        """Write the buffered lines."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._entries:
            entries, self._entries = self._entries, []
            self._write(entries)


def is_enabled() -> bool:
    """Return whether the log level includes request lines."""
    return logging.getLogger("corvo_server.request").isEnabledFor(logging.INFO)
