"""Which callables can be tasks, and mistakes that the decorator reports."""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from corvo_client.worker import Context, Worker
from corvo_client.worker._signature import as_function

if TYPE_CHECKING:
    from nowhere import Elsewhere  # type: ignore[import-not-found]


class Greeter:
    def __init__(self, word: str) -> None:
        self.word = word

    async def greet(self, name: str) -> str:
        return f"{self.word} {name}"

    def shout(self, name: str) -> str:
        return f"{self.word} {name}!"

    @classmethod
    async def make(cls, name: str) -> str:
        return f"{cls.__name__} {name}"

    @staticmethod
    async def plain(name: str) -> str:
        return name


class Call:
    async def __call__(self, name: str) -> str:
        return name


async def scaled(factor: int, name: str) -> str:
    return name * factor


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@pytest.fixture
def worker() -> Worker:
    return Worker("http://localhost:9")


@pytest.mark.parametrize(
    ("function", "is_async"),
    [
        (Greeter("hi").greet, True),
        (Greeter("hi").shout, False),
        (Greeter.make, True),
        (Greeter.plain, True),
        (staticmethod(Greeter.plain), True),
        (Call(), True),
        (functools.partial(scaled, 2), True),
        (functools.partial(functools.partial(scaled), 2), True),
        (functools.lru_cache(Greeter("hi").shout), False),
        (logged(Greeter("hi").greet), False),
    ],
)
def test_whatever_takes_named_arguments_can_be_a_task(
    worker: Worker, function: Any, is_async: bool
) -> None:
    task: Any = worker.task("q")(function)
    assert task.is_async is is_async
    assert task.executor == ("async" if is_async else "thread")
    assert inspect.iscoroutinefunction(task) is is_async
    assert list(inspect.signature(task).parameters) == ["name"]
    assert task.request("ada").payload == {"name": "ada"}
    with pytest.raises(ValueError, match="name: Input should be a valid string"):
        task.request(1)


def test_a_wrapper_of_an_async_function_can_run_in_the_loop(worker: Worker) -> None:
    assert worker.task("q", executor="async")(logged(scaled)).executor == "async"


def unannotated(ctx, name: str): ...  # type: ignore[no-untyped-def]
async def stream(name: str) -> AsyncIterator[str]:
    yield name


def two(context: Context, again: Context) -> None: ...
def strange(a: Greeter) -> None: ...
def broken(a: math.nowhere) -> None: ...  # type: ignore[name-defined]
def hidden(a: Elsewhere) -> None: ...


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (Greeter.greet, "is a method without an object, so 'self' would be part of the payload"),
        (Greeter.shout, r"worker.task\(queue\)\(an_object.shout\)"),
        (Greeter.__dict__["make"], r"worker.task\(queue\)\(TheClass.make\)"),
        (Greeter, "Greeter is a class; a task needs a function"),
        (3, "3 is not a function"),
        (stream, "stream is an async generator"),
        (functools.partial(stream), "is an async generator"),
        (unannotated, "'ctx' has no annotation.* write `ctx: Context`"),
        (two, "only one parameter can be the Context"),
        (strange, "strange: parameter 'a' cannot be validated: Unable to generate"),
        (broken, "broken: an annotation is not a type"),
        (hidden, "hidden: the annotation 'Elsewhere' is not known at module level"),
        (len, "cannot be passed by name"),
        (max, "(has no signature|cannot be passed by name)"),
        (math.hypot, "(has no signature|cannot be passed by name)"),
        (dict.fromkeys, "(has no signature|cannot be passed by name)"),
    ],
)
def test_what_cannot_be_a_task_is_refused_with_a_reason(
    worker: Worker, function: Any, message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        worker.task("q")(function)
    assert not worker.tasks


def test_a_method_in_a_class_body_is_refused(worker: Worker) -> None:
    with pytest.raises(TypeError, match=r"method is a method without an object"):

        class Service:
            @worker.task("q")
            async def method(self, name: str) -> None: ...

    class Static:
        @staticmethod
        @worker.task("q")
        async def function(name: str) -> str:
            return name

    assert worker.tasks["q"] is Static.function


@pytest.mark.parametrize("executor", ["process"])
@pytest.mark.parametrize("function", [Greeter("hi").shout, functools.partial(math.prod, start=1)])
def test_what_another_process_cannot_import_is_refused(
    worker: Worker, executor: Any, function: Any
) -> None:
    with pytest.raises(TypeError, match=r"must be at module level|cannot be passed by name"):
        worker.task("q", executor=executor)(function)


def test_annotations_that_only_type_checkers_need_are_not_read(worker: Worker) -> None:
    @worker.task("q")
    def task(
        context: Annotated[Context, "the job"],
        size: Annotated[int, {"unit": "px"}] = 1,
        key: Callable[[int], int] = abs,
    ) -> Elsewhere: ...

    @worker.task("optional")
    def optional(size: int, context: Annotated[Context | None, []] = None) -> Elsewhere: ...

    assert task.request(size=3).payload == {"size": 3}
    assert optional.request(size=3).payload == {"size": 3}


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"retry_base_delay": 10}, ValueError, "retry_base_delay: must be a duration"),
        ({"retry_backoff": "expo"}, ValueError, "retry_backoff: must be one of none, fixed"),
        ({"max_retries": -1}, ValueError, "max_retries: "),
        ({"priority": "urgent"}, ValueError, "priority: must be critical, high or normal"),
        ({"unique_period": "soon"}, ValueError, "unique_period: "),
        ({"expire_after": 5}, ValueError, "expire_after: "),
        ({"tags": {"a": 1}}, ValueError, r"tags\.a: "),
        ({"max_retry": 3}, TypeError, "'max_retry' is not an option of a task; did you mean 'max"),
        ({"zzz": 3}, TypeError, "the options are priority, max_retries, "),
        ({"delay": 3}, TypeError, r"write task.options\(delay=...\).enqueue\(...\)"),
        ({"executor": "threads"}, TypeError, "executor must be 'async', 'thread' or 'process'"),
    ],
)
def test_an_invalid_option_is_refused_by_the_decorator(
    worker: Worker, options: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        worker.task("q", **options)(Greeter.plain)
    assert not worker.tasks


def test_a_decorator_without_parentheses_is_refused(worker: Worker) -> None:
    with pytest.raises(TypeError, match=r'write @worker.task\("queue"\)'):
        worker.task(Greeter.plain)  # type: ignore[arg-type]


def test_functions_that_make_context_managers_are_refused() -> None:
    @contextlib.contextmanager
    def manager() -> Iterator[None]:
        yield

    @contextlib.asynccontextmanager
    async def async_manager() -> AsyncIterator[None]:
        yield

    for function in (manager, async_manager):
        with pytest.raises(TypeError, match="makes a context manager"):
            as_function(function)

    @manager()
    def inside() -> None: ...

    assert as_function(inside) is inside
