"""Waiting for a condition instead of for time to pass."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")

PATIENCE = 40.0
"""Default limit of waiting in seconds, long enough for a busy machine."""
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
    """Poll `condition` until its value is truthy, and return it. Fail after `within` seconds."""
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
    """Do the same as `wait_until` in synchronous code."""
    ends_at = time.monotonic() + within
    while not (known := condition()):
        if time.monotonic() >= ends_at:
            raise AssertionError(f"{what or 'the condition'}: not within {within:g} s")
        time.sleep(_PAUSE)
    return known
