"""Await what handlers return: what is awaitable has not run yet."""

import asyncio
import inspect
from typing import Any

from corvo_client.worker._leases import Lease

_MAX_AWAITS = 100


def is_to_await(result: Any) -> bool:
    """Return whether a result is an awaitable or an async generator: it has not run yet."""
    return inspect.isawaitable(result) or inspect.isasyncgen(result)


async def awaited(result: Any) -> Any:
    """Await a result, and what that returns, until it is no awaitable any more.

    Collect an async generator. Raises TypeError for an awaitable that returns itself, or others
    without end: a worker would await them for ever.
    """
    for _ in range(_MAX_AWAITS):
        if inspect.isasyncgen(result):
            return [item async for item in result]
        if not inspect.isawaitable(result):
            return result
        given, result = result, await result
        if given is result:
            break
    raise TypeError("the handler returned an awaitable whose result is an awaitable again")


def await_in_loop(result: Any, lease: Lease, loop: asyncio.AbstractEventLoop) -> Any:
    """Await the result of a plain handler in the worker's event loop. Block this thread meanwhile.

    Like an async handler, it gets a `CancelledError` if the lease is interrupted.
    """

    async def run() -> tuple[Any, BaseException | None]:
        waiting, lease.task = lease.task, asyncio.current_task()
        try:
            if lease.interruption is not None:
                if inspect.iscoroutine(result):
                    result.close()
                return None, asyncio.CancelledError(lease.interruption.value)
            return await awaited(result), None
        except BaseException as error:  # noqa: BLE001 - the thread raises it
            return None, error
        finally:
            lease.task = waiting

    value, error = asyncio.run_coroutine_threadsafe(run(), loop).result()
    if error is not None:
        raise error
    return value


def run_to_end(result: Any) -> Any:
    """Await a result in an event loop of its own, unless it is no awaitable."""
    return asyncio.run(awaited(result)) if is_to_await(result) else result
