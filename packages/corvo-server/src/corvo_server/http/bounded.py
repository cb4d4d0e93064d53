"""Connections within the budgets: of bodies that are read, of replies that are not, of connections.

The fast path reads a body that has arrived completely and is small without looking at a budget.
"""

from time import monotonic
from typing import Any, cast

from sanic import HTTPResponse, Request
from sanic.http import Stage

from corvo_server.engine.errors import CallError
from corvo_server.http.budgets import ALWAYS_SERVED, SMALL, Refusal
from corvo_server.http.deadlines import Deadlines, Patience
from corvo_server.http.errors import may_have_changed
from corvo_server.http.http1 import StrictHttp, StrictProtocol

_HASTY = Deadlines(head=1.0, body=1.0, idle=1.0, reply=1.0)
"""Deadlines of connections above the caps."""
_FIRST_SECONDS = 10.0
_RATE = 64.0 * 1024
"""Bytes per second that a large body must bring after its first seconds if another has no room."""
_LARGE_PIECE = 16 * 1024
"""Bytes in the buffer of a connection from which on they count."""


class BoundedHttp(StrictHttp):
    """Sanic's loop over the requests of a connection, within the budgets."""

    __slots__ = ("_reserved", "_since")

    protocol: "BoundedProtocol"

    def __init__(self, protocol: "BoundedProtocol") -> None:
        super().__init__(protocol)  # type: ignore[no-untyped-call]
        self._reserved = 0
        self._since = 0.0

    async def http1(self) -> None:
        """Serve the requests of the connection."""
        try:
            await super().http1()  # type: ignore[no-untyped-call]
        finally:
            self._release_body()

    def init_for_request(self) -> None:
        """Forget the last request and its body."""
        if self._reserved:
            self._release_body()
        if self.protocol.ahead:
            self.protocol.charge_ahead(0)
        super().init_for_request()  # type: ignore[no-untyped-call]

    async def http1_request_header(self) -> None:
        """Read the head of the next request. Refuse it if the connection is above the caps."""
        await super().http1_request_header()
        protocol = self.protocol
        if protocol.refusal is not None:
            self.keep_alive = False
            if self.request.path not in ALWAYS_SERVED:
                raise protocol.refuse(protocol.refusal)
        if not self.request_body:
            self.charge_ahead()

    def charge_ahead(self) -> None:
        """Charge what has arrived behind the request that runs now, if it is much."""
        size = len(self.recv_buffer)
        if size > _LARGE_PIECE:
            self.protocol.charge_ahead(size)

    # Bodies

    async def read(self) -> bytes | None:
        """Read some bytes of the body. Raise `CallError` if the budget has no room for it.

        The rest of a body whose request was answered is dropped: it is read as no bytes.
        """
        if self.stage is Stage.HANDLER:
            self._reserve_body(cast("int", self.request_bytes))
            data = await super().read()
            if data is None:
                self.charge_ahead()
            return data
        return None if await super().read() is None else b""

    async def _receive_chunk_size(self) -> int:
        size = await super()._receive_chunk_size()
        if self.stage is Stage.HANDLER:
            total = cast("int", self.request_bytes) + size
            try:
                self._reserve_body(
                    total if total <= SMALL else max(total, int(self.request_max_size))
                )
            except CallError:
                self.request_bytes_left = size  # to be dropped
                raise
        return size

    def _reserve_body(self, size: int) -> None:
        """Reserve `size` bytes for the body, once. A chunked one is small or has any size."""
        if size <= self._reserved or size > self.request_max_size:
            return
        self._release_reservation()
        protocol = self.protocol
        budget = protocol.budgets.bodies(size)
        if not budget.has_room(size):
            if size > SMALL:
                for body in protocol.budgets.large_bodies:
                    body.hurry_if_slow()
            raise protocol.refuse(Refusal.BODIES)
        budget.used += size
        self._reserved = size
        self._since = protocol.loop.time()
        if size > SMALL:
            protocol.budgets.large_bodies.add(self)

    def hurry_if_slow(self) -> None:
        """Give the client no more time for its body if it sends too slowly."""
        seconds = self.protocol.loop.time() - self._since
        received = cast("int", self.request_bytes) - cast("int", self.request_bytes_left)
        if self.request_body and seconds > _FIRST_SECONDS and received < seconds * _RATE:
            self.protocol.end_patience(_RATE)

    def _release_reservation(self) -> None:
        budgets = self.protocol.budgets
        budgets.bodies(self._reserved).used -= self._reserved
        budgets.large_bodies.discard(self)
        self._reserved = 0

    def _release_body(self) -> None:
        if self._reserved:
            self._release_reservation()
            self.request.body = b""  # Sanic keeps the last request of a connection

    # Replies

    def respond(self, response: Any) -> Any:
        """Begin a reply. Raise `CallError` if there is no room for it."""
        if isinstance(response, HTTPResponse):
            self.check_reply(self.request, response)
        return super().respond(response)

    def check_reply(self, request: Request, response: HTTPResponse) -> None:
        """Raise `CallError` for a large reply if clients have not read too many bytes of others.

        A call that may have changed something is answered, because it has been done.
        """
        size = len(response.body or b"")
        protocol = self.protocol
        if size <= SMALL or protocol.budgets.replies.has_room(size):
            return
        if not may_have_changed(request) and request.path not in ALWAYS_SERVED:
            protocol.report_expected()
            raise protocol.refuse(Refusal.REPLIES)


class BoundedProtocol(StrictProtocol):
    """A connection within the budgets."""

    __slots__ = ("_address", "ahead", "refusal")

    HTTP_CLASS = BoundedHttp

    def __init__(self, **options: Any) -> None:
        self.ahead = 0
        """Bytes in the budget that arrived while the request before them runs."""
        self.refusal: Refusal | None = None
        super().__init__(**options)
        self._address = ""

    @property
    def deadlines(self) -> Deadlines:
        """How long the server waits for the client."""
        return super().deadlines if self.refusal is None else _HASTY

    def connection_made(self, transport: Any) -> None:
        """Start to serve the connection. Refuse its requests if it is above the caps."""
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if isinstance(peer, tuple) else ""
        is_proxy = self.app.ctx.proxies.trusts(self._address)
        self.refusal = self.budgets.connect(self._address, is_proxy=is_proxy)
        super().connection_made(transport)
        if self.refusal is not None:
            self.patience = Patience(self.deadlines)
            if not self.budgets.has_reserve:
                self.refuse(self.refusal)
                self.abort()

    def data_received(self, data: bytes) -> None:
        """Buffer bytes of requests. Sanic's own method reads its settings for each of them."""
        self._time = monotonic()
        self.recv_buffer += data
        if len(self.recv_buffer) > _LARGE_PIECE:
            self._bound_buffer(len(data))
        self._data_received.set()

    def _bound_buffer(self, received: int) -> None:
        """Read no more for now if the buffer is full, or if too many bytes arrive at once."""
        if len(self.recv_buffer) >= SMALL and self.transport is not None:
            self.transport.pause_reading()
        http = self.http
        if http and not http.request_body:
            http.charge_ahead()
        if self.budgets.is_burst(received):
            self._pause_all()

    def charge_ahead(self, size: int) -> None:
        """Charge bytes that wait behind a request. Break the connection if there is no room."""
        budget = self.budgets.ahead
        budget.used -= self.ahead
        self.ahead = 0
        if not budget.has_room(size):
            self.refuse(Refusal.BODIES)
            self.abort()
        elif size:
            budget.used += size
            self.ahead = size

    def _pause_all(self) -> None:
        """Read nothing until the requests that have arrived were served or wait for something.

        The loop reads from all connections before it runs their tasks, so that thousands of them
        could bring a lot of data without a look at the budgets.
        """
        paused = [item for item in self.connections if item.pause()]
        self.loop.call_soon(self._resume_all, paused)

    def _resume_all(self, paused: list["BoundedProtocol"]) -> None:
        self.budgets.end_burst()
        for connection in paused:
            connection.resume()

    def pause(self) -> bool:
        """Read nothing from the client. Return whether the connection was reading."""
        transport = self.transport
        if transport is None or transport.is_closing() or not transport.is_reading():
            return False
        transport.pause_reading()
        return True

    def resume(self) -> None:
        """Read again, unless the connection is about to close."""
        transport = self.transport
        if transport is not None and not transport.is_closing():
            transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.charge_ahead(0)
        self.recv_buffer.clear()  # the collector may take a while to find the connection
        self.budgets.disconnect(self._address, self.refusal)
        super().connection_lost(exc)

    def refuse(self, refusal: Refusal) -> CallError:
        """Count a refusal and return its error."""
        return self.budgets.refuse(refusal, self._address)
