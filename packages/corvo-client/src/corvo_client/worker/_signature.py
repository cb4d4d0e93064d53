"""Signatures of handlers: their parameters and the types of these, and which callables can work."""

import contextlib
import functools
import inspect
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import NoneType, SimpleNamespace, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from corvo_client.worker._context import Context

AnyFunction = Callable[..., Any]
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_CONTEXT_NAMES = ("context", "ctx")
_RECEIVERS = ("self", "cls")


@contextlib.contextmanager
def _manager() -> Iterator[None]:
    yield


@contextlib.asynccontextmanager
async def _async_manager() -> AsyncIterator[None]:
    yield


_CODES_OF_MANAGERS = (_manager.__code__, _async_manager.__code__)
"""Code of all functions that the two decorators return."""


class HandlerSignature:
    """The parameters of a function and their types.

    `context` is the name of the parameter that gets the `Context`, or None. `parameters` are all
    others. Raises TypeError for a function that a payload cannot call.
    """

    def __init__(self, function: AnyFunction) -> None:
        self.name = name_of(function)
        signature = _signature_of(function)
        self.types = _types_of(function, signature)
        self.context: str | None = None
        for name, parameter in signature.parameters.items():
            self._check(name, parameter)
            if is_context(self.types.get(name)):
                if self.context is not None:
                    raise TypeError(f"{self.name}: only one parameter can be the Context")
                self.context = name
        others = [p for p in signature.parameters.values() if p.name != self.context]
        self.without_context = signature.replace(parameters=others)
        self.parameters: Mapping[str, inspect.Parameter] = self.without_context.parameters

    def _check(self, name: str, parameter: inspect.Parameter) -> None:
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD and parameter.kind not in _NAMED:
            raise TypeError(
                f"{self.name}: parameter {name!r} cannot be passed by name; use "
                "only parameters with names, because a payload has only names"
            )
        if name in _CONTEXT_NAMES and name not in self.types:
            raise TypeError(
                f"{self.name}: parameter {name!r} has no annotation, so it would be part "
                f"of the payload; write `{name}: Context` to get the context of the job"
            )


def is_context(hint: Any) -> bool:
    """Return whether a type is `Context`, `Context | None`, or either of them annotated."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, UnionType):
        return all(member in (Context, NoneType) for member in get_args(hint))
    return hint is Context


def name_of(function: object) -> str:
    """Return the name of a function for messages."""
    return getattr(function, "__qualname__", None) or repr(function)


def as_function(function: object) -> AnyFunction:
    """Return the function that a decorator got. Raises TypeError if it cannot be a handler."""
    if isinstance(function, staticmethod):
        function = function.__func__
    name = name_of(function)
    if isinstance(function, classmethod):
        raise TypeError(
            f"{name} has no class yet here; write worker.task(queue)(TheClass.{function.__name__}) "
            "below the class"
        )
    if isinstance(function, type):
        raise TypeError(f"{name} is a class; a task needs a function that does the work")
    if not callable(function):
        raise TypeError(f"{function!r} is not a function")
    if inspect.isasyncgenfunction(_implementation(function)):
        raise TypeError(
            f"{name} is an async generator: a call does not run its body; return a value instead "
            "of `yield`"
        )
    if getattr(function, "__code__", None) in _CODES_OF_MANAGERS:
        raise TypeError(
            f"{name} makes a context manager: a call does not run its body; remove the decorator "
            "from contextlib, or write a function that uses the context manager"
        )
    _refuse_unbound(function, name)
    return function


def _refuse_unbound(function: AnyFunction, name: str) -> None:
    """Refuse a method that has no object: its `self` would be part of the payload."""
    outer = name.rpartition(".")[0]
    if inspect.isfunction(function) and outer and not outer.endswith("<locals>"):
        first = next(iter(_signature_of(function).parameters), None)
        if first in _RECEIVERS:
            raise TypeError(
                f"{name} is a method without an object, so {first!r} would be part of the "
                f"payload; write worker.task(queue)(an_object.{function.__name__}), or use a "
                "function at module level"
            )


def is_async_function(function: AnyFunction) -> bool:
    """Return whether a call returns a coroutine: an `async def`, in any form that can be called."""
    # Before Python 3.12, asyncio had a mark of its own for functions that return coroutines.
    return inspect.iscoroutinefunction(_implementation(function)) or (
        getattr(function, "_is_coroutine", None) is not None
    )


def looks_of(function: AnyFunction) -> dict[str, Any]:
    """Return the attributes by which others recognize an `async def` and read the annotations."""
    found = _implementation(function)
    names = ("__code__", "__defaults__", "__kwdefaults__", "__globals__", "__type_params__")
    looks = {name: getattr(found, name) for name in names if hasattr(found, name)}
    if not hasattr(function, "__name__"):  # a partial, or an object that can be called
        looks["__name__"] = found.__name__
    return looks


def _implementation(function: Any) -> Any:
    """Return the function that runs if `function`, for example a partial, is called."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isroutine(function):
        return function
    return getattr(type(function), "__call__", function)  # noqa: B004 - its code, not whether


def _signature_of(function: AnyFunction) -> inspect.Signature:
    try:
        if sys.version_info >= (3, 14):
            from annotationlib import Format  # noqa: PLC0415 - new in Python 3.14

            # The return type may exist for type checkers only.
            return inspect.signature(function, annotation_format=Format.FORWARDREF)
        return inspect.signature(function)
    except ValueError as error:
        raise TypeError(
            f"{name_of(function)} has no signature that Python can read; call it from a function "
            "of your own"
        ) from error


def _types_of(function: AnyFunction, signature: inspect.Signature) -> dict[str, Any]:
    """Return the types of the annotated parameters."""
    inner = inspect.unwrap(_implementation(inspect.unwrap(function)))
    written = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if parameter.annotation is not parameter.empty
    }
    annotated = SimpleNamespace(
        __annotations__=written, __type_params__=getattr(inner, "__type_params__", ())
    )
    try:
        return get_type_hints(annotated, getattr(inner, "__globals__", {}), include_extras=True)
    except NameError as error:
        raise TypeError(
            f"{name_of(function)}: the annotation {error.name!r} is not known at module level; "
            "define it there, or remove `from __future__ import annotations`"
        ) from error
    except Exception as error:  # an annotation can be any expression
        raise TypeError(f"{name_of(function)}: an annotation is not a type: {error}") from error
