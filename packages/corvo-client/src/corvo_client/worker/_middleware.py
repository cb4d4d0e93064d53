"""Middleware around attempts, and the state of the worker's lifespan."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from corvo_client.worker._context import Context
from corvo_client.worker._signature import name_of

CallNext = Callable[[], Awaitable[Any]]
"""Call of the next middleware, or of the handler after the last middleware."""

Middleware = Callable[[Context, CallNext], Awaitable[Any]]
"""`async def middleware(context, call_next)`: its result or error is the outcome of the attempt.

Middleware runs in the event loop, for handlers of any kind. `call_next` validates the payload.
"""


def check_middleware(middleware: Any) -> None:
    """Raise TypeError for what cannot be middleware."""
    name = name_of(middleware)
    if not callable(middleware):
        raise TypeError(f"middleware must be an async function, not {middleware!r}")
    call = middleware if inspect.isroutine(middleware) else type(middleware).__call__
    if inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call):
        raise TypeError(
            f"{name} is a generator; middleware awaits the handler: `result = await call_next()`"
        )
    try:
        inspect.signature(middleware).bind(None, None)
    except ValueError:  # it has no signature that Python can read
        return
    except TypeError as error:
        raise TypeError(
            f"{name} cannot be called as middleware ({error}); write "
            f"`async def {getattr(middleware, '__name__', 'middleware')}(context, call_next)`"
        ) from None


@dataclass(slots=True)
class Surroundings:
    """Middleware (outermost first) and state that all attempts of a worker share."""

    middleware: list[Middleware] = field(default_factory=list)
    state: Any = None
    """Value that the worker's lifespan yielded."""

    def call(self, context: Context, handler: CallNext) -> Awaitable[Any]:
        """Return the call of a handler, wrapped in all middleware."""
        for middleware in reversed(self.middleware):
            handler = partial(middleware, context, handler)
        return handler()
