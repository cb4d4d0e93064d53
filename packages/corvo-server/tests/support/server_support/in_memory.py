"""Connections to the server without sockets. A test decides which bytes arrive together."""

import asyncio
from typing import Any

from sanic.server import HttpProtocol

from corvo_server.http.endpoint import App
from server_support.bench import turns, until


class MemoryTransport(asyncio.Transport):
    """A transport that keeps all bytes written to it."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 1), "peername": ("127.0.0.1", 2)})
        self.written: list[bytes] = []
        self._is_closing = False
        self._protocol: asyncio.BaseProtocol | None = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def write(self, data: Any) -> None:
        assert not self._is_closing
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        if not self._is_closing and self._protocol is not None:
            self._is_closing = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class MemoryConnection:
    """The client's end of a connection to `app`, whose protocol is of class `kind`."""

    def __init__(self, kind: type[HttpProtocol], app: App) -> None:
        self.transport = MemoryTransport()
        self.protocol = kind(loop=asyncio.get_running_loop(), app=app, connections=set())
        self.transport.set_protocol(self.protocol)
        self.protocol.connection_made(self.transport)

    async def send(self, *pieces: bytes) -> None:
        """Send the pieces one by one, each after the server has handled the one before."""
        for piece in pieces:
            if self.transport.is_closing():
                return
            self.protocol.data_received(piece)
            await self.settle()

    async def settle(self) -> None:
        """Wait until the server can only wait for more bytes."""
        await turns()
        await until(self._is_settled)

    @property
    def answers(self) -> bytes:
        """All bytes that the server has sent."""
        return b"".join(self.transport.written)

    def hang_up(self) -> None:
        """Close the connection."""
        self.transport.close()

    def _is_settled(self) -> bool:
        # Received bytes set the event, and Sanic clears it before it waits for more. Sanic's
        # `stage` does not help: Sanic waits in all stages, and for the end of a chunked body, too.
        return self.transport.is_closing() or not self.protocol._data_received.is_set()
