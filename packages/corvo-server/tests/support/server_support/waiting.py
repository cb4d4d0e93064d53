"""Waits for a condition instead of sleeping."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")

PATIENCE = 40.0
"""Default timeout in seconds. It is long enough for a busy machine."""
_PAUSE = 0.01


@overload
async def wait_until(
    condition: Callable[[], Awaitable[T | None]], what: str = ..., *, within: float = ...
) -> T: ...
@overload
async def wait_until(
    condition: Callable[[], T | None], what: str = ..., *, within: float = ...
) -> T: ...
async def wait_until(
    condition: Callable[[], Any], what: str = "", *, within: float = PATIENCE
) -> Any:
    """Poll `condition` until it is truthy, and return its value. Fail after `within` seconds."""
    ends_at = time.monotonic() + within
    while True:
        value = condition()
        known = await value if inspect.isawaitable(value) else value
        if known:
            return known
        if time.monotonic() >= ends_at:
            wanted = what or getattr(condition, "__name__", "the condition")
            raise AssertionError(f"{wanted}: not within {within:g} s; last seen: {known!r}")
        await asyncio.sleep(_PAUSE)


def wait_blocking(condition: Callable[[], T], what: str = "", *, within: float = PATIENCE) -> T:
    """Like `wait_until`, without an event loop."""
    ends_at = time.monotonic() + within
    while not (known := condition()):
        if time.monotonic() >= ends_at:
            raise AssertionError(f"{what or 'the condition'}: not within {within:g} s")
        time.sleep(_PAUSE)
    return known
