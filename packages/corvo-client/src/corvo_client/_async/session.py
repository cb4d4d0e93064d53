"""Sessions: send calls, retry them and decode their answers."""

import asyncio  # async only
import logging
import random
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import TypeVar

from corvo_client._async.coalescer import Coalescers  # async only
from corvo_client._async.following import AsyncFollowing
from corvo_client._async.transport import AsyncTransport
from corvo_client._call import Call
from corvo_client._codec import read_answer
from corvo_client._errors import CorvoError
from corvo_client._retry import NO_RETRIES, AsyncSleep, RetryPolicy
from corvo_client._sealing import Sealing
from corvo_client._stream import Stream

R = TypeVar("R")

_log = logging.getLogger("corvo.client")


class AsyncSession:
    """Sends calls over a transport, and retries them as the policy defines.

    Tests replace `sleep`, `clock` (in seconds) and `draw`, which returns a number from 0 to 1.
    """

    def __init__(
        self,
        transport: AsyncTransport,
        policy: RetryPolicy,
        *,
        sleep: AsyncSleep = asyncio.sleep,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._policy = policy
        self._sleep = sleep
        self._draw = draw
        self._clock = clock
        self._is_closed = False
        self._following = AsyncFollowing(transport, policy, sleep=sleep, draw=draw)
        self._coalescers = Coalescers(self.send_alone)  # async only

    @property
    def sealing(self) -> Sealing | None:
        """What seals and opens documents; None without a codec."""
        return self._transport.sealing

    async def send(self, call: Call[R]) -> R:
        """Send a call and return its reply. Raises `CorvoError`, RuntimeError if closed."""
        if self._is_closed:
            raise RuntimeError("this client is closed")
        if call.batch_endpoint is not None:  # async only
            return await self._coalescers.send(call, call.batch_endpoint)  # async only
        return await self.send_alone(call)

    async def send_alone(self, call: Call[R]) -> R:
        """Send a call in a separate request."""
        policy = self._policy if call.patient else NO_RETRIES
        started = self._clock()
        attempt, waited = 0, 0.0
        while True:
            attempt += 1
            if call.prompt:
                call = replace(call, within=policy.attempt_limit(len(call.body or b""), waited))
            try:
                return read_answer(call, *await self._transport.send(call))
            except CorvoError as error:
                elapsed = self._clock() - started
                pause = policy.pause(
                    error,
                    repeatable=call.repeatable,
                    attempt=attempt,
                    elapsed=elapsed,
                    draw=self._draw(),
                )
                if pause is None:
                    if attempt > 1:
                        error.add_note(
                            f"The call was tried {attempt} times in {elapsed:.1f} s. To try for "
                            "longer, set CORVO_RETRY_SECONDS or pass `retry`"
                        )
                    raise
                _log.info("retrying in %.2f s: %s", pause, error)
                await self._sleep(pause)
                waited = elapsed + pause

    def follow(self, stream: Stream[R]) -> AsyncGenerator[R]:
        """Yield the messages of a stream, reconnecting as needed, until the session is closed.

        Raises `CorvoError` if the stream cannot continue, and RuntimeError if the session is
        closed already.
        """
        if self._is_closed:
            raise RuntimeError("this client is closed")
        return self._following.follow(stream)

    async def close(self) -> None:
        """Wait for running calls, end the streams and close all connections."""
        self._is_closed = self._following.is_closed = True
        await self._coalescers.drain()  # async only
        await self._transport.close()
