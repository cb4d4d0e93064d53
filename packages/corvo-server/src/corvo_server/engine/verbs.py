"""Marks the verbs of the engine, so that tracing can wrap their calls in spans."""

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Trace(Protocol):
    """Runs one call of a verb within a span."""

    def __call__(self, name: str, call: Callable[[], Awaitable[T]], /) -> Awaitable[T]:
        """Await `call()`; `name` is the name of the verb."""
        ...


class Part:
    """Base class of the parts of the engine. Their verbs are marked with `verb`."""

    trace: Trace | None = None
    """Set by `engine.tracing` if tracing is enabled."""


S = TypeVar("S", bound=Part)


def verb(
    method: Callable[Concatenate[S, P], Awaitable[T]],
) -> Callable[Concatenate[S, P], Awaitable[T]]:
    """Mark a method of a part as a verb: each call is one span if tracing is enabled."""
    name = method.__name__

    @wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        if self.trace is None:
            return method(self, *args, **kwargs)
        return self.trace(name, partial(method, self, *args, **kwargs))

    return call
