# async only: `_sync/connection.py` is also written by hand
"""The asyncio parts of `direct.py` and `transport.py`: connection, its owner, semaphore."""

import asyncio
from typing import Any, Self, cast

from corvo_client._http1 import BrokenAnswer, Reading
from corvo_client._idle import is_readable
from corvo_client._origin import KEEPALIVE_SECONDS, Origin, ServerAddress

_HAPPY_EYEBALLS_DELAY = 0.25
"""Seconds before the next address of a host name is tried in parallel to the first."""


class AsyncSemaphore:
    """A semaphore whose `acquire` takes a timeout, like the semaphore of `threading`."""

    def __init__(self, value: int) -> None:
        self._semaphore = asyncio.Semaphore(value)
        self.release = self._semaphore.release

    async def acquire(self, *, timeout: float) -> bool:  # noqa: ASYNC109 - as in threading
        """Acquire the semaphore. Return False if that is not possible within `timeout` seconds."""
        if not self._semaphore.locked():
            return await self._semaphore.acquire()
        try:
            async with asyncio.timeout(timeout):
                return await self._semaphore.acquire()
        except TimeoutError:
            return False


def connection_owner() -> object:
    """Return the running event loop: a connection can be used only in the loop that opened it."""
    return asyncio.get_running_loop()


class AsyncConnection(asyncio.Protocol):
    """One connection, which carries one request and its answer at a time."""

    def __init__(self, server: ServerAddress, loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self._loop = loop
        self._transport: asyncio.Transport
        self._reading: Reading | None = None
        self._answered: asyncio.Future[Reading] | None = None
        self._timer: asyncio.TimerHandle
        self._received_at = loop.time()
        self._is_broken = False

    @classmethod
    async def open(cls, server: ServerAddress, origin: Origin, timeout: float) -> Self:  # noqa: ASYNC109 - as in socket
        """Connect to a server within `timeout` seconds. Raises OSError."""
        loop = asyncio.get_running_loop()
        # uvloop does not support happy_eyeballs_delay. asyncio fails with it when tasks start
        # eagerly (Python 3.13.0, python/cpython#124309).
        options: dict[str, Any] = {}
        if isinstance(loop, asyncio.BaseEventLoop) and loop.get_task_factory() is None:
            options["happy_eyeballs_delay"] = _HAPPY_EYEBALLS_DELAY
        if server.is_tls:
            options |= {"ssl": origin.tls, "server_hostname": server.host}
        connection = cls(server, loop)
        async with asyncio.timeout(timeout):
            await loop.create_connection(lambda: connection, server.host, server.port, **options)
        return connection

    async def exchange(self, request: bytes, silence_timeout: float) -> Reading:
        """Send a request and return its answer.

        Raises TimeoutError when the server sends nothing for `silence_timeout` seconds, OSError,
        and `BrokenAnswer`.
        """
        self._reading = Reading()
        self._answered = self._loop.create_future()
        self._received_at = self._loop.time()
        self._transport.write(request)
        self._timer = self._loop.call_later(silence_timeout, self._check_silence, silence_timeout)
        try:
            return await self._answered
        finally:
            self._timer.cancel()
            self._answered = self._reading = None

    def is_good(self) -> bool:
        """Return whether an idle connection is recent enough and still open."""
        if self._is_broken or self._transport.is_closing():
            return False
        if self._loop.time() - self._received_at > KEEPALIVE_SECONDS:
            return False
        # The event loop may not have reported data or an end of stream that has just arrived.
        return not is_readable(self._transport.get_extra_info("socket"))

    def close(self) -> None:
        """Close the connection. Unsent data is discarded."""
        self._is_broken = True
        self._transport.abort()

    # Callbacks of the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Connections have full transports. Those of uvloop do not inherit from asyncio.Transport.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received_at = self._loop.time()
        if self._reading is None:  # no request is in flight
            self._is_broken = True
            return
        try:
            self._reading.feed(data)
        except BrokenAnswer as error:
            self._fail(error)
            return
        self._settle()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_broken = True
        if self._reading is None:
            return
        if exc is not None:
            self._fail(exc)
            return
        try:
            self._reading.end()
        except BrokenAnswer as error:
            self._fail(error)
            return
        self._settle()

    def _check_silence(self, silence_timeout: float) -> None:
        """Fail if nothing came for `silence_timeout` seconds, else schedule the next check."""
        left = self._received_at + silence_timeout - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check_silence, silence_timeout)
        else:
            self._fail(TimeoutError())

    def _settle(self) -> None:
        reading, answered = self._reading, self._answered
        if reading is None or answered is None or answered.done():  # the caller was cancelled
            return
        if reading.is_complete:
            answered.set_result(reading)

    def _fail(self, error: Exception) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)
