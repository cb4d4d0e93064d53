"""What is done around each attempt, and what lasts as long as the worker."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from corvo_client.worker._context import Context

CallNext = Callable[[], Awaitable[Any]]
"""Runs the rest of the attempt: the next middleware, in the end the handler."""

Middleware = Callable[[Context, CallNext], Awaitable[Any]]
"""`async def middleware(context, call_next)`: what it returns or raises is the attempt's result.

It runs in the event loop, whatever the handler is. The payload is checked inside `call_next`.
"""


@dataclass(slots=True)
class Surroundings:
    """What the attempts of one worker share. The first middleware is the outermost."""

    middleware: list[Middleware] = field(default_factory=list)
    state: Any = None
    """What the worker's lifespan yielded."""

    def call(self, context: Context, handler: CallNext) -> Awaitable[Any]:
        """Return the call of a handler, with everything around it."""
        for middleware in reversed(self.middleware):
            handler = partial(middleware, context, handler)
        return handler()
