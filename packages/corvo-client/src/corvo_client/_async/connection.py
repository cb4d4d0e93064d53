# async only: `_sync/connection.py` is written by hand too
"""What differs between the two kinds of `direct.py`: the connection, and the wait for one."""

import asyncio
from typing import Any, Self, cast

from corvo_client._http1 import BrokenAnswer, Reading
from corvo_client._idle import is_readable
from corvo_client._origin import KEEPALIVE_SECONDS, Origin, ServerAddress

_HEAD_START = 0.25
"""Seconds after which the next address of a name is tried beside the first."""


class AsyncSemaphore:
    """A semaphore whose `acquire` takes a timeout, as that of `threading` does."""

    def __init__(self, value: int) -> None:
        self._semaphore = asyncio.Semaphore(value)
        self.release = self._semaphore.release

    async def acquire(self, *, timeout: float) -> bool:  # noqa: ASYNC109 - as in threading
        """Return True, or False when none was released in time."""
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
    """One connection, for one exchange at a time."""

    def __init__(self, server: ServerAddress, loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._reading: Reading | None = None
        self._answered: asyncio.Future[Reading] | None = None
        self._timer: asyncio.TimerHandle
        self._heard_at = loop.time()
        self._is_broken = False

    @classmethod
    async def open(cls, server: ServerAddress, origin: Origin) -> Self:
        """Connect to a server. Raises OSError."""
        loop = asyncio.get_running_loop()
        # uvloop tries one address after the other, and has no other way; nor may asyncio where
        # tasks start eagerly: Python 3.13.0 fails then (python/cpython#124309).
        options: dict[str, Any] = {}
        if isinstance(loop, asyncio.BaseEventLoop) and loop.get_task_factory() is None:
            options["happy_eyeballs_delay"] = _HEAD_START
        if server.is_tls:
            options |= {"ssl": origin.tls, "server_hostname": server.host}
        connection = cls(server, loop)
        async with asyncio.timeout(origin.connect_timeout):
            await loop.create_connection(lambda: connection, server.host, server.port, **options)
        return connection

    async def exchange(self, request: bytes, patience: float) -> Reading:
        """Send a request and return its answer.

        Raises TimeoutError when the server is silent for `patience` seconds, OSError, and
        `BrokenAnswer`.
        """
        self._reading = Reading()
        self._answered = self._loop.create_future()
        self._heard_at = self._loop.time()
        cast("asyncio.Transport", self._transport).write(request)
        self._timer = self._loop.call_later(patience, self._check_silence, patience)
        try:
            return await self._answered
        finally:
            self._timer.cancel()
            self._answered = self._reading = None

    def is_good(self) -> bool:
        """Tell whether an idle connection is young enough and not closed by the server."""
        if self._is_broken or self._transport is None or self._transport.is_closing():
            return False
        if self._loop.time() - self._heard_at > KEEPALIVE_SECONDS:
            return False
        # The event loop may not have reported yet what has just arrived.
        return not is_readable(self._transport.get_extra_info("socket"))

    def close(self) -> None:
        """Close the connection without waiting for what is still to be sent."""
        self._is_broken = True
        if self._transport is not None:
            self._transport.abort()

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        if self._reading is None:  # nothing was asked
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

    def _check_silence(self, patience: float) -> None:
        """Fail after `patience` seconds of silence, else check again when they could be over."""
        left = self._heard_at + patience - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check_silence, patience)
        else:
            self._fail(TimeoutError())

    def _settle(self) -> None:
        reading, answered = self._reading, self._answered
        if reading is None or answered is None or answered.done():  # the caller has gone away
            return
        if reading.is_complete:
            answered.set_result(reading)

    def _fail(self, error: Exception) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)
