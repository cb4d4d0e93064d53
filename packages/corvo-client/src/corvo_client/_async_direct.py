"""Calls over connections of our own, for one event loop. See `_direct`."""

import asyncio
from typing import Any, cast

from corvo_client._answer import Answer
from corvo_client._call import Call
from corvo_client._direct import is_readable
from corvo_client._http1 import BrokenAnswer, Reading, write_request
from corvo_client._idle import Idle
from corvo_client._origin import KEEPALIVE_SECONDS, Origin, Site

_HEAD_START = 0.25
"""Seconds after which the next address of a name is tried beside the first."""


class AsyncDirect:
    """Sends calls. At most so many (None: any number) at a time.

    Raises `TransportError` when no answer came.
    """

    def __init__(self, origin: Origin, most: int | None) -> None:
        self._origin = origin
        self._idle: Idle[_Connection] = Idle()
        self._places = None if most is None else asyncio.Semaphore(most)
        self._is_closed = False

    async def send(self, call: Call[Any]) -> Answer:
        """Send one call."""
        if self._places is None:
            return await self._send(call)
        try:
            async with asyncio.timeout(self._origin.patience(call)):
                await self._places.acquire()
        except TimeoutError:
            raise self._origin.busy(call, self._origin.site) from None
        try:
            return await self._send(call)
        finally:
            self._places.release()

    async def close(self) -> None:
        """Close all connections, those that are busy as soon as they are not."""
        self._is_closed = True
        self._idle.close()
        await asyncio.sleep(0)  # for the event loop to close their sockets

    async def _send(self, call: Call[Any]) -> Answer:
        origin = self._origin
        site = origin.site
        connection = self._idle.take(site) or await self._connect(site)
        try:
            reading = await connection.exchange(write_request(call, site), origin.patience(call))
        except TimeoutError as error:
            connection.close()
            raise origin.silent(call, site) from error
        except (OSError, BrokenAnswer) as error:
            connection.close()
            raise origin.lost(call, site, error) from error
        except BaseException:
            connection.close()  # the answer that is still to come must be nobody's
            raise
        if reading.keeps_alive and not self._is_closed:
            self._idle.keep(connection)
        else:
            connection.close()
        answer = reading.answer
        origin.note(answer.status, site)
        return answer

    async def _connect(self, site: Site) -> "_Connection":
        loop = asyncio.get_running_loop()
        connection = _Connection(site, loop)
        # uvloop tries one address after the other, and knows no other way; nor may asyncio where
        # tasks start eagerly: Python 3.13.0 trips over that (python/cpython#124309).
        options: dict[str, Any] = {}
        if isinstance(loop, asyncio.BaseEventLoop) and loop.get_task_factory() is None:
            options["happy_eyeballs_delay"] = _HEAD_START
        if site.is_tls:
            options |= {"ssl": self._origin.tls, "server_hostname": site.host}
        try:
            async with asyncio.timeout(self._origin.connect_timeout):
                await loop.create_connection(lambda: connection, site.host, site.port, **options)
        except OSError as error:
            raise self._origin.unreachable(site, error) from error
        return connection


class _Connection(asyncio.Protocol):
    """One connection, for one exchange at a time."""

    def __init__(self, site: Site, loop: asyncio.AbstractEventLoop) -> None:
        self.site = site
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._reading: Reading | None = None
        self._answered: asyncio.Future[Reading] | None = None
        self._timer: asyncio.TimerHandle
        self._heard_at = loop.time()
        self._is_broken = False

    async def exchange(self, request: bytes, patience: float) -> Reading:
        """Send a request, return its answer. `patience` is how long the server may be silent."""
        self._reading = Reading()
        self._answered = self._loop.create_future()
        self._heard_at = self._loop.time()
        cast("asyncio.Transport", self._transport).write(request)
        self._timer = self._loop.call_later(patience, self._look, patience)
        try:
            return await self._answered
        finally:
            self._timer.cancel()
            self._answered = self._reading = None

    def is_good(self) -> bool:
        """Whether an idle connection can be used: not too old, and not closed by the server."""
        if self._is_broken or self._transport is None or self._transport.is_closing():
            return False
        if self._loop.time() - self._heard_at > KEEPALIVE_SECONDS:
            return False
        # What came in this very moment, the event loop has not told yet.
        return not is_readable(self._transport.get_extra_info("socket"))

    def close(self) -> None:
        """Close it."""
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

    def _look(self, patience: float) -> None:
        """Give up if nothing has been heard for so long, else look again when that could be."""
        left = self._heard_at + patience - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look, patience)
        else:
            self._fail(TimeoutError())

    def _settle(self) -> None:
        if self._reading is not None and self._reading.is_complete:
            self._set(self._reading, None)

    def _fail(self, error: Exception) -> None:
        self._set(None, error)

    def _set(self, reading: Reading | None, error: Exception | None) -> None:
        if self._answered is None or self._answered.done():  # whoever asked has gone
            return
        if error is not None:
            self._answered.set_exception(error)
        elif reading is not None:
            self._answered.set_result(reading)
