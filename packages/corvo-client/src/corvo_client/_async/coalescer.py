# async only: a thread makes one call at a time
"""Combine concurrent calls into batch requests.

The request is the most expensive part of a call. While one request is in flight, other calls of the
same kind wait; the next request sends them together. There is no timer: a single call is sent at
once.
"""

import asyncio
import copy
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

from corvo_client._call import BatchEndpoint, Call
from corvo_client._errors import ApiError, BadReply, CorvoError
from corvo_schema import ErrorCode

R = TypeVar("R")

Send = Callable[[Call[Any]], Coroutine[Any, Any, Any]]

MAX_BYTES = 4_000_000
"""Maximum size of a batch in bytes. A single call may be larger."""

# A single item can cause these errors. All others concern the whole request.
_MAY_BE_ONE_ITEM = frozenset(
    {
        ErrorCode.PARSE_ERROR,
        ErrorCode.VALIDATION_ERROR,
        ErrorCode.FORBIDDEN,
        ErrorCode.INVALID_STATE,
        ErrorCode.LEASE_LOST,
        ErrorCode.PAYLOAD_TOO_LARGE,
    }
)


class Coalescer(Generic[R]):
    """Sends the calls of one batch endpoint in order, one request at a time.

    Each caller gets its own result or error. If a waiting caller is cancelled, its call is not
    sent; other calls are not affected.
    """

    def __init__(self, endpoint: BatchEndpoint[R], send: Send) -> None:
        self._endpoint = endpoint
        self._send = send
        self._waiting: deque[tuple[Call[R], asyncio.Future[R]]] = deque()
        self._is_busy = False
        self._sender: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    async def send(self, call: Call[R]) -> R:
        """Send a call, alone or in a batch. Raises the same errors as a single call."""
        if self._is_busy:
            future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
            self._waiting.append((call, future))
            return await future
        self._is_busy = True
        self._idle.clear()
        try:
            result: R = await self._send(call)
        finally:
            if self._waiting:
                self._sender = asyncio.create_task(self._send_waiting())
            else:
                self._set_idle()
        return result

    async def drain(self) -> None:
        """Wait until no call is waiting or in flight."""
        await self._idle.wait()

    def _set_idle(self) -> None:
        self._is_busy = False
        self._idle.set()

    async def _send_waiting(self) -> None:
        try:
            while batch := self._take():
                await self._deliver(batch)
                # Callers that just got their answers run first, so that the next request includes
                # their next calls.
                await asyncio.sleep(0)
        finally:
            for _, future in self._waiting:
                future.cancel()
            self._waiting.clear()
            self._set_idle()

    def _take(self) -> list[tuple[Call[R], asyncio.Future[R]]]:
        batch: list[tuple[Call[R], asyncio.Future[R]]] = []
        size = 0
        while self._waiting and len(batch) < self._endpoint.max_items:
            call, future = self._waiting[0]
            size += len(call.item) + 1
            if batch and size > MAX_BYTES:
                break
            self._waiting.popleft()
            if not future.done():
                batch.append((call, future))
        return batch

    async def _deliver(self, batch: Sequence[tuple[Call[R], asyncio.Future[R]]]) -> None:
        try:
            outcomes = await self._request([call for call, _ in batch])
        except ApiError as error:
            if len(batch) > 1 and error.code in _MAY_BE_ONE_ITEM:
                middle = len(batch) // 2
                await self._deliver(batch[:middle])
                await self._deliver(batch[middle:])
                return
            outcomes = [error] * len(batch)
        except Exception as error:  # noqa: BLE001 - the callers get it
            outcomes = [error] * len(batch)
        except BaseException:
            for _, future in batch:
                future.cancel()
            raise
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if future.done():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(_copy_of(outcome))
            else:
                future.set_result(outcome)

    async def _request(self, calls: Sequence[Call[R]]) -> Sequence[R | Exception]:
        if len(calls) == 1:
            return [await self._send(calls[0])]
        outcomes: list[R | ApiError] = await self._send(self._endpoint.join(calls))
        if len(outcomes) != len(calls):
            raise BadReply(f"the server answered {len(calls)} items with {len(outcomes)} results")
        return outcomes


class Coalescers:
    """One coalescer per batch endpoint, created at its first use."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._by_path: dict[str, Coalescer[Any]] = {}

    async def send(self, call: Call[R], endpoint: BatchEndpoint[R]) -> R:
        """Send a call that `endpoint` accepts in batches."""
        coalescer: Coalescer[R] | None = self._by_path.get(endpoint.path)
        if coalescer is None:
            coalescer = self._by_path[endpoint.path] = Coalescer(endpoint, self._send)
        return await coalescer.send(call)

    async def drain(self) -> None:
        """Wait until no call is waiting or in flight."""
        for coalescer in self._by_path.values():
            await coalescer.drain()


def _copy_of(error: Exception) -> Exception:
    """Return a copy of an error: raising one object in many tasks would mix tracebacks."""
    if not isinstance(error, CorvoError):
        return error
    copied = copy.copy(error)
    copied.__cause__ = error.__cause__
    return copied
