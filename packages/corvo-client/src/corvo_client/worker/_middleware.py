"""Middleware around attempts, and the state of the worker's lifespan."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from corvo_client.worker._context import Context

CallNext = Callable[[], Awaitable[Any]]
"""Call of the next middleware, or of the handler after the last middleware."""

Middleware = Callable[[Context, CallNext], Awaitable[Any]]
"""`async def middleware(context, call_next)`: its result or error is the outcome of the attempt.

Middleware runs in the event loop, for handlers of any kind. `call_next` validates the payload.
"""


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
