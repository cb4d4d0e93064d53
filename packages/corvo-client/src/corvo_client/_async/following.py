"""Following of streams across connections."""

import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeVar

from corvo_client._async.transport import AsyncTransport
from corvo_client._codec import read_answer
from corvo_client._errors import BadReply, ConnectionLost, CorvoError
from corvo_client._retry import AsyncSleep, RetryPolicy
from corvo_client._stream import Message, MessageReader, Stream

R = TypeVar("R")

_log = logging.getLogger("corvo.client")


class AsyncFollowing:
    """Follows streams. A stream that breaks continues after its last message.

    The retry policy limits the attempts of the first connection. After that, reconnecting has no
    limit until the session is closed, unless the policy allows no retries.
    """

    def __init__(
        self,
        transport: AsyncTransport,
        policy: RetryPolicy,
        *,
        sleep: AsyncSleep,
        draw: Callable[[], float],
    ) -> None:
        self._transport = transport
        self._policy = policy
        self._sleep = sleep
        self._draw = draw
        self.is_closed = False

    async def follow(self, stream: Stream[R]) -> AsyncGenerator[R]:
        """Yield all messages in order. Raises `CorvoError` if the stream cannot continue."""
        after, failures, was_connected = stream.after, 0, False
        started = time.monotonic()
        while True:
            failure: CorvoError = ConnectionLost(f"{stream.path}: the server ended the stream")
            try:
                async with aclosing(self._messages(stream, after)) as messages:
                    async for message in messages:
                        was_connected = True
                        if message.id is not None:
                            after = message.id
                        if message.data is not None:
                            failures = 0
                            yield stream.read(self._opened(stream, message.data))
            except CorvoError as error:
                failure = error
            if self.is_closed:
                return
            failures += 1
            elapsed = 0.0 if was_connected else time.monotonic() - started
            await self._sleep(self._pause(failure, failures, elapsed, was_connected=was_connected))

    def _opened(self, stream: Stream[R], data: bytes) -> bytes:
        sealing = self._transport.sealing
        return data if sealing is None else sealing.opened_message(stream.path, data)

    async def _messages(self, stream: Stream[R], after: str | None) -> AsyncGenerator[Message]:
        call = stream.call(after)
        reader = MessageReader()
        async with self._transport.open(call) as answer:
            kind = answer.headers.get("Content-Type", "")
            if answer.status >= 300:
                body = b"".join([piece async for piece in answer.pieces])
                read_answer(call, answer.status, answer.headers, body)
            if not kind.startswith("text/event-stream"):
                raise BadReply(f"{stream.path}: the answer is not an event stream but {kind!r}")
            yield Message(None, None)
            async for piece in answer.pieces:
                for message in reader.feed(piece):
                    yield message

    def _pause(
        self, error: CorvoError, failures: int, elapsed: float, *, was_connected: bool
    ) -> float:
        policy = self._policy
        pause = policy.pause(
            error, repeatable=True, attempt=failures, elapsed=elapsed, draw=self._draw()
        )
        if pause is None and was_connected and error.is_transient and policy.max_attempts > 1:
            pause = policy.delay(error, failures, self._draw())
        if pause is None:
            raise error
        _log.info("reconnecting the stream in %.2f s: %s", pause, error)
        return pause
