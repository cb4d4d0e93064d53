# Generated from src/corvo_client/_async/through_httpx.py by scripts/gen_sync.py. Do not edit.
"""Calls through httpx: for a proxy, for a transport of the caller, and for streams.

Requests go straight to the transports of httpx. `httpx.Client` would add cookies, redirects and
authentication flows: a third of the time of a request, and none of it is used here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from corvo_client._answer import Answer, Streaming
from corvo_client._call import Call
from corvo_client._origin import Origin

Backend = httpx.BaseTransport


def is_in_memory(backend: Backend) -> bool:
    """Return whether a transport reaches no server."""
    return isinstance(backend, httpx.MockTransport | httpx.ASGITransport | httpx.WSGITransport)


class ThroughHttpx:
    """Sends calls over a transport of httpx. Raises `TransportError` when no answer arrives."""

    def __init__(self, origin: Origin, backend: Backend | None, *, is_for_polls: bool) -> None:
        self._origin = origin
        self._backend = backend or httpx.HTTPTransport(
            **origin.backend_options(is_for_polls=is_for_polls)
        )

    def send(self, call: Call[Any]) -> Answer:
        """Send one call and return its answer."""
        server = self._origin.server
        try:
            response = self._backend.handle_request(self._origin.request(call, server))
            self._origin.note(response.status_code, server)
            try:
                body = response.read()
            finally:
                response.close()
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise self._origin.explain(error, call, server) from error
        return Answer(response.status_code, response.headers, body)

    @contextmanager
    def open(self, call: Call[Any]) -> Iterator[Streaming]:
        """Send one call and yield its answer as a stream."""
        server = self._origin.server
        try:
            response = self._backend.handle_request(self._origin.request(call, server))
            self._origin.note(response.status_code, server)
            try:
                yield Streaming(response.status_code, response.headers, response.iter_bytes())
            finally:
                response.close()
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise self._origin.explain(error, call, server) from error

    def close(self) -> None:
        """Close all connections."""
        self._backend.close()
