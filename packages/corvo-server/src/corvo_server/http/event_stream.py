"""Event streams: replies of server-sent events. Their unread bytes are bounded."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sanic import HTTPResponse, Request

from corvo_server.http.endpoint import EVENT_STREAM
from corvo_server.http.http1 import StrictProtocol
from corvo_server.http.replies import message_data
from corvo_server.http.request import connection_of, engine_of

PIECE_BYTES = 64 * 1024
"""Bytes of messages that a stream collects before it writes them."""
_UNREAD_SECONDS = 10.0
"""Seconds that a write waits for the viewer to read."""
_SOCKET_BYTES = 128 * 1024
"""Send buffer of the socket of a stream. By default, Linux lets it grow to 4 MB."""


class EventStream:
    """A reply of server-sent events.

    What the viewer has not read is in two places: in the socket, up to `_SOCKET_BYTES`, and in the
    transport, up to 16 KB and one write. When the transport is full, `send` waits.
    """

    def __init__(self, response: HTTPResponse) -> None:
        self._response = response
        self.position: int | None = None
        """Id of the last event that was written; None for a stream without ids."""

    async def send(self, data: bytes, position: int | None = None) -> None:
        """Write messages; `position` is the id of their last event.

        Raises `ViewerTooSlow` if the viewer does not read for `_UNREAD_SECONDS`. Then nothing of
        `data` has been written.
        """
        try:
            async with asyncio.timeout(_UNREAD_SECONDS):
                await self._response.send(data)
        except TimeoutError:
            raise ViewerTooSlow from None
        if position is not None:
            self.position = position

    async def end(self) -> None:
        """End the reply. Raises `ViewerTooSlow`."""
        try:
            async with asyncio.timeout(_UNREAD_SECONDS):
                await self._response.eof()
        except TimeoutError:
            raise ViewerTooSlow from None


@asynccontextmanager
async def event_stream(request: Request) -> AsyncIterator[EventStream]:
    """Answer `request` with an event stream, which ends with the block.

    If the viewer does not read in time, the block is left, the stream ends with a last message, and
    the connection is closed: see `StrictHttp.end_unread`.
    """
    connection, metrics = connection_of(request), engine_of(request).metrics
    _limit_socket(connection)
    response = await request.respond(
        content_type=EVENT_STREAM, headers={"cache-control": "no-store"}
    )
    stream = EventStream(response)
    metrics.event_streams.inc()
    connection.is_streaming = True
    try:
        yield stream
        await stream.end()
    except ViewerTooSlow:
        metrics.unread_streams.inc()
        connection.http.end_unread(_last_message(stream.position))
    finally:
        connection.is_streaming = False
        metrics.event_streams.dec()


class ViewerTooSlow(Exception):
    """Raised when the viewer of a stream does not read in time."""


def _last_message(position: int | None) -> bytes:
    """Return the message that ends a stream. Its id is that of the last event, to resume after."""
    message = f"The stream was not read for {_UNREAD_SECONDS:g} seconds, so the server ended it."
    data: dict[str, object] = {"type": "end", "reason": "unread"}
    if position is None:
        data["message"] = f"{message} Connect again to continue."
        return b"event: end\ndata: %b\n\n" % message_data(data)
    data["message"] = f"{message} Connect again with last_event_id={position} to continue."
    data["last_event_id"] = position
    return b"id: %d\nevent: end\ndata: %b\n\n" % (position, message_data(data))


def _limit_socket(connection: StrictProtocol) -> None:
    transport = connection.transport
    found = None if transport is None else transport.get_extra_info("socket")
    if found is not None:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
