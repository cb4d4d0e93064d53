"""Calls through httpx: for a proxy, for a transport of the caller, and for streams.

Requests go straight to the transports of httpx. `httpx.Client` would add cookies, redirects and
authentication flows: a third of the time of a request, and none of it is used here.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from corvo_client._answer import Answer, AsyncStreaming
from corvo_client._call import Call
from corvo_client._origin import Origin

AsyncBackend = httpx.AsyncBaseTransport


def is_in_memory(backend: AsyncBackend) -> bool:
    """Return whether a transport reaches no server."""
    return isinstance(backend, httpx.MockTransport | httpx.ASGITransport | httpx.WSGITransport)


class AsyncThroughHttpx:
    """Sends calls over a transport of httpx. Raises `TransportError` when no answer arrives."""

    def __init__(self, origin: Origin, backend: AsyncBackend | None, *, is_for_polls: bool) -> None:
        self._origin = origin
        self._backend = backend or httpx.AsyncHTTPTransport(
            **origin.backend_options(is_for_polls=is_for_polls)
        )

    async def send(self, call: Call[Any]) -> Answer:
        """Send one call and return its answer."""
        server = self._origin.server
        try:
            response = await self._backend.handle_async_request(self._origin.request(call, server))
            self._origin.note(response.status_code, server)
            try:
                body = await response.aread()
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise self._origin.explain(error, call, server) from error
        return Answer(response.status_code, response.headers, body)

    @asynccontextmanager
    async def open(self, call: Call[Any]) -> AsyncIterator[AsyncStreaming]:
        """Send one call and yield its answer as a stream."""
        server = self._origin.server
        try:
            response = await self._backend.handle_async_request(self._origin.request(call, server))
            self._origin.note(response.status_code, server)
            try:
                yield AsyncStreaming(response.status_code, response.headers, response.aiter_bytes())
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise self._origin.explain(error, call, server) from error

    async def close(self) -> None:
        """Close all connections."""
        await self._backend.aclose()
