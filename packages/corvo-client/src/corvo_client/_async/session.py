"""Makes calls: sends, repeats, reads the answer."""

import asyncio  # async only
import logging
import random
import time
from collections.abc import AsyncGenerator, Callable
from typing import TypeVar

from corvo_client._async.coalescer import Coalescers  # async only
from corvo_client._async.following import AsyncFollowing
from corvo_client._async.transport import AsyncTransport
from corvo_client._call import Call
from corvo_client._codec import read_answer
from corvo_client._errors import CorvoError
from corvo_client._retry import NO_RETRIES, AsyncSleep, RetryPolicy
from corvo_client._stream import Stream

R = TypeVar("R")

_log = logging.getLogger("corvo.client")


class AsyncSession:
    """Makes calls over a transport, again where the policy says so.

    `sleep` and `draw` (a random number from 0 to 1) can be replaced.
    """

    def __init__(
        self,
        transport: AsyncTransport,
        policy: RetryPolicy,
        *,
        sleep: AsyncSleep = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._transport = transport
        self._policy = policy
        self._sleep = sleep
        self._draw = draw
        self._is_closed = False
        self._following = AsyncFollowing(transport, policy, sleep=sleep, draw=draw)
        self._coalescers = Coalescers(self.send_alone)  # async only

    async def send(self, call: Call[R]) -> R:
        """Make a call. Raises `CorvoError`, and RuntimeError when the session is closed."""
        if self._is_closed:
            raise RuntimeError("this client is closed")
        if call.batch_endpoint is not None:  # async only
            return await self._coalescers.send(call, call.batch_endpoint)  # async only
        return await self.send_alone(call)

    async def send_alone(self, call: Call[R]) -> R:
        """Make a call in a request of its own."""
        policy = self._policy if call.patient else NO_RETRIES
        started = time.monotonic()
        attempt = 0
        while True:
            attempt += 1
            try:
                return read_answer(call, *await self._transport.send(call))
            except CorvoError as error:
                pause = policy.pause(
                    error,
                    repeatable=call.repeatable,
                    attempt=attempt,
                    elapsed=time.monotonic() - started,
                    draw=self._draw(),
                )
                if pause is None:
                    raise
                _log.info("trying again in %.2f s: %s", pause, error)
                await self._sleep(pause)

    def follow(self, stream: Stream[R]) -> AsyncGenerator[R]:
        """Yield what a stream brings, from one connection or many, until this is closed.

        Raises `CorvoError` when it cannot go on, and RuntimeError when the session is closed.
        """
        if self._is_closed:
            raise RuntimeError("this client is closed")
        return self._following.follow(stream)

    async def close(self) -> None:
        """Finish the calls that were made, end the streams, then close all connections."""
        self._is_closed = self._following.is_closed = True
        await self._coalescers.drain()  # async only
        await self._transport.close()
