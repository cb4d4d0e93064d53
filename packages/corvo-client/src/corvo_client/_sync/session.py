# Generated from src/corvo_client/_async/session.py by scripts/gen_sync.py. Do not edit.
"""Makes calls: sends, repeats, reads the answer."""

import logging
import random
import time
from collections.abc import Callable, Generator
from typing import TypeVar

from corvo_client._call import Call
from corvo_client._codec import read_answer
from corvo_client._errors import CorvoError
from corvo_client._retry import NO_RETRIES, RetryPolicy, Sleep
from corvo_client._stream import Stream
from corvo_client._sync.following import Following
from corvo_client._sync.transport import Transport

R = TypeVar("R")

_log = logging.getLogger("corvo.client")


class Session:
    """Makes calls over a transport, again where the policy says so.

    `sleep` and `draw` (a random number from 0 to 1) can be replaced.
    """

    def __init__(
        self,
        transport: Transport,
        policy: RetryPolicy,
        *,
        sleep: Sleep = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._transport = transport
        self._policy = policy
        self._sleep = sleep
        self._draw = draw
        self._is_closed = False
        self._following = Following(transport, policy, sleep=sleep, draw=draw)

    def send(self, call: Call[R]) -> R:
        """Make a call. Raises `CorvoError`, and RuntimeError when the session is closed."""
        if self._is_closed:
            raise RuntimeError("this client is closed")
        return self.send_alone(call)

    def send_alone(self, call: Call[R]) -> R:
        """Make a call in a request of its own."""
        policy = self._policy if call.patient else NO_RETRIES
        started = time.monotonic()
        attempt = 0
        while True:
            attempt += 1
            try:
                return read_answer(call, *self._transport.send(call))
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
                self._sleep(pause)

    def follow(self, stream: Stream[R]) -> Generator[R]:
        """Yield what a stream brings, from one connection or many, until this is closed.

        Raises `CorvoError` when it cannot go on, and RuntimeError when the session is closed.
        """
        if self._is_closed:
            raise RuntimeError("this client is closed")
        return self._following.follow(stream)

    def close(self) -> None:
        """Finish the calls that were made, end the streams, then close all connections."""
        self._is_closed = self._following.is_closed = True
        self._transport.close()
