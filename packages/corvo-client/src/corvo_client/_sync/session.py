# Generated from src/corvo_client/_async/session.py by scripts/gen_sync.py. Do not edit.
"""Sessions: send calls, retry them and decode their answers."""

import logging
import random
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import TypeVar

from corvo_client._call import Call
from corvo_client._codec import read_answer
from corvo_client._errors import CorvoError
from corvo_client._retry import NO_RETRIES, RetryPolicy, Sleep
from corvo_client._sealing import Sealing
from corvo_client._stream import Stream
from corvo_client._sync.following import Following
from corvo_client._sync.transport import Transport

R = TypeVar("R")

_log = logging.getLogger("corvo.client")


class Session:
    """Sends calls over a transport, and retries them as the policy defines.

    Tests replace `sleep`, `clock` (in seconds) and `draw`, which returns a number from 0 to 1.
    """

    def __init__(
        self,
        transport: Transport,
        policy: RetryPolicy,
        *,
        sleep: Sleep = time.sleep,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._policy = policy
        self._sleep = sleep
        self._draw = draw
        self._clock = clock
        self._is_closed = False
        self._following = Following(transport, policy, sleep=sleep, draw=draw)

    @property
    def sealing(self) -> Sealing | None:
        """What seals and opens documents; None without a codec."""
        return self._transport.sealing

    def send(self, call: Call[R]) -> R:
        """Send a call and return its reply. Raises `CorvoError`, RuntimeError if closed."""
        if self._is_closed:
            raise RuntimeError("this client is closed")
        return self.send_alone(call)

    def send_alone(self, call: Call[R]) -> R:
        """Send a call in a separate request."""
        policy = self._policy if call.patient else NO_RETRIES
        started = self._clock()
        attempt, waited = 0, 0.0
        while True:
            attempt += 1
            if call.prompt:
                call = replace(call, within=policy.attempt_limit(len(call.body or b""), waited))
            try:
                return read_answer(call, *self._transport.send(call))
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
                self._sleep(pause)
                waited = elapsed + pause

    def follow(self, stream: Stream[R]) -> Generator[R]:
        """Yield the messages of a stream, reconnecting as needed, until the session is closed.

        Raises `CorvoError` if the stream cannot continue, and RuntimeError if the session is
        closed already.
        """
        if self._is_closed:
            raise RuntimeError("this client is closed")
        return self._following.follow(stream)

    def close(self) -> None:
        """Wait for running calls, end the streams and close all connections."""
        self._is_closed = self._following.is_closed = True
        self._transport.close()
