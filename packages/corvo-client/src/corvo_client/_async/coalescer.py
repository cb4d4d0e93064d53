# async only: plain code makes one call at a time
"""Sends calls that are made at the same time in one request.

The request is the most expensive part of a call. While one is in flight, calls of the same kind
gather, and are sent together when its answer arrives. There is no timer: a single call is sent at
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
"""Largest size of a batch. A single call may be larger."""

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

    Each caller gets its own result or error. A waiting call whose caller is cancelled is not sent,
    which does not affect the others.
    """

    def __init__(self, endpoint: BatchEndpoint[R], send: Send) -> None:
        self._endpoint = endpoint
        self._send = send
        self._waiting: deque[tuple[Call[R], asyncio.Future[R]]] = deque()
        self._is_busy = False
        self._pump: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    async def send(self, call: Call[R]) -> R:
        """Make a call, alone or with others. Raises what the session raises for a single call."""
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
                self._pump = asyncio.create_task(self._send_waiting())
            else:
                self._rest()
        return result

    async def drain(self) -> None:
        """Wait until no call is waiting or in flight."""
        await self._idle.wait()

    def _rest(self) -> None:
        self._is_busy = False
        self._idle.set()

    async def _send_waiting(self) -> None:
        try:
            while batch := self._take():
                await self._deliver(batch)
                # The callers that now have their answers run first, so that their next calls are
                # part of the next request.
                await asyncio.sleep(0)
        finally:
            for _, future in self._waiting:
                future.cancel()
            self._waiting.clear()
            self._rest()

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
        except Exception as error:  # noqa: BLE001 - it belongs to the callers, whatever it is
            outcomes = [error] * len(batch)
        except BaseException:
            for _, future in batch:
                future.cancel()
            raise
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if future.done():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(_own(outcome))
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
    """One coalescer per batch endpoint, made when it is first needed."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._by_path: dict[str, Coalescer[Any]] = {}

    async def send(self, call: Call[R], endpoint: BatchEndpoint[R]) -> R:
        """Make a call that `endpoint` takes in batches."""
        coalescer: Coalescer[R] | None = self._by_path.get(endpoint.path)
        if coalescer is None:
            coalescer = self._by_path[endpoint.path] = Coalescer(endpoint, self._send)
        return await coalescer.send(call)

    async def drain(self) -> None:
        """Wait until no call is waiting or in flight."""
        for coalescer in self._by_path.values():
            await coalescer.drain()


def _own(error: Exception) -> Exception:
    """Return a copy of an error. Raising one object in many tasks would mix their tracebacks."""
    if not isinstance(error, CorvoError):
        return error
    twin = copy.copy(error)
    twin.__cause__ = error.__cause__
    return twin
