"""Calls over connections of our own.

A request through httpx takes several times as much CPU as the server spends on an enqueue. Most
programs only need a request, an answer and a connection that stays open.
"""

import asyncio  # async only
import time
from typing import Any

from corvo_client._answer import Answer
from corvo_client._async.connection import AsyncConnection, AsyncSemaphore
from corvo_client._call import Call, left
from corvo_client._http1 import BrokenAnswer, write_request
from corvo_client._idle import Idle
from corvo_client._origin import Origin, ServerAddress


class AsyncDirect:
    """Sends calls. At most `max_connections` (None: any number) are in flight at a time.

    Raises `TransportError` when no answer arrives.
    """

    def __init__(self, origin: Origin, max_connections: int | None) -> None:
        self._origin = origin
        self._idle: Idle[AsyncConnection] = Idle()
        self._limit = None if max_connections is None else AsyncSemaphore(max_connections)
        self._is_closed = False

    async def send(self, call: Call[Any]) -> Answer:
        """Send one call and return its answer."""
        started = time.monotonic()
        if self._limit is None:
            return await self._send(call, started)
        if not await self._limit.acquire(timeout=self._origin.silence_timeout(call)):
            raise self._origin.busy(call, self._origin.server)
        try:
            return await self._send(call, started)
        finally:
            self._limit.release()

    async def close(self) -> None:
        """Close the idle connections now, and each busy one when its exchange ends."""
        self._is_closed = True
        self._idle.close()
        # The event loop closes the sockets in its next iteration.  # async only
        await asyncio.sleep(0)  # async only

    async def _send(self, call: Call[Any], started: float) -> Answer:
        origin = self._origin
        server = origin.server
        connection = self._idle.take(server) or await self._connect(
            server, left(origin.connect_timeout, call, started)
        )
        try:
            reading = await connection.exchange(
                write_request(call, server), left(origin.silence_timeout(call), call, started)
            )
        except TimeoutError as error:
            connection.close()
            raise origin.silent(call, server) from error
        except (OSError, BrokenAnswer) as error:
            connection.close()
            raise origin.lost(call, server, error) from error
        except BaseException:
            connection.close()  # another call would read the rest of this answer
            raise
        if reading.keeps_alive and not self._is_closed:
            self._idle.keep(connection)
        else:
            connection.close()
        answer = reading.answer
        origin.note(answer.status, server)
        return answer

    async def _connect(self, server: ServerAddress, timeout: float) -> AsyncConnection:  # noqa: ASYNC109 - as in socket
        try:
            return await AsyncConnection.open(server, self._origin, timeout)
        except OSError as error:
            raise self._origin.unreachable(server, error) from error
