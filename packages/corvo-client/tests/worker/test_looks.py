"""A task looks like its function to everything that looks."""

import asyncio
import copy
import functools
import inspect
import pickle
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Annotated, Any, get_type_hints

import pytest

from corvo_client.worker import Context, Worker

worker = Worker("http://localhost:9")


@worker.task("async")
async def greet(name: str, count: int = 1) -> str:
    """Greet somebody."""
    return name * count


@worker.task("plain")
def add(a: int, b: "int" = 1) -> int:
    return a + b


@worker.task("context")
async def with_context(context: Context, name: str) -> None: ...


def test_inspection_sees_the_function() -> None:
    assert inspect.iscoroutinefunction(greet)
    assert not inspect.iscoroutinefunction(add)
    if sys.version_info < (3, 14):  # deprecated since
        assert asyncio.iscoroutinefunction(greet)
        assert not asyncio.iscoroutinefunction(add)
    assert not inspect.isgeneratorfunction(greet)
    assert str(inspect.signature(greet)) == "(name: str, count: int = 1) -> str"
    assert list(inspect.signature(with_context).parameters) == ["context", "name"]
    assert get_type_hints(add) == {"a": int, "b": int, "return": int}
    assert greet.__doc__ == "Greet somebody."
    assert greet.__wrapped__ is greet.function  # type: ignore[attr-defined]
    assert inspect.unwrap(greet) is greet.function
    assert "Greet somebody" in inspect.getsource(greet)
    assert inspect.iscoroutinefunction(functools.partial(greet, count=2))


def test_attributes_of_the_function_do_not_replace_those_of_the_task() -> None:
    async def function() -> None: ...

    function.queue = "mine"  # type: ignore[attr-defined]
    function.color = "red"  # type: ignore[attr-defined]
    task: Any = Worker("http://localhost:9").task("q")(function)
    assert (task.queue, task.color) == ("q", "red")


def test_a_task_is_pickled_by_its_name() -> None:
    assert pickle.loads(pickle.dumps(greet)) is greet  # noqa: S301
    assert copy.deepcopy({"task": greet})["task"] is greet
    assert copy.copy(greet).queue == "async"
    with ProcessPoolExecutor(1) as pool:
        assert pool.submit(add, 2, b=3).result() == 5


def test_a_mark_makes_a_task_async() -> None:
    def returns_a_coroutine(name: str) -> Any:
        return greet(name)

    marked: Callable[..., Any] = returns_a_coroutine
    if sys.version_info >= (3, 12):
        marked = inspect.markcoroutinefunction(marked)
    else:
        marked._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
    task: Any = Worker("http://localhost:9").task("q")(marked)
    assert task.executor == "async"
    if sys.version_info < (3, 14):
        assert asyncio.iscoroutinefunction(task)


async def test_starlette_awaits_a_task_in_the_background() -> None:
    background = pytest.importorskip("starlette.background", reason="starlette is not installed")
    seen: list[str] = []

    @Worker("http://localhost:9").task("q")
    async def note(name: str) -> None:
        seen.append(name)

    await background.BackgroundTask(note, "ada")()
    assert seen == ["ada"]


async def test_fastapi_calls_a_task_as_route_and_as_dependency() -> None:
    fastapi = pytest.importorskip("fastapi", reason="fastapi is not installed")
    httpx = pytest.importorskip("httpx")
    app = fastapi.FastAPI()
    app.get("/greet")(greet)

    @app.get("/add")
    async def route(total: Annotated[int, fastapi.Depends(add)]) -> int:
        return total

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://web") as web:
        assert (await web.get("/greet", params={"name": "ada", "count": 2})).json() == "adaada"
        assert (await web.get("/add", params={"a": 2})).json() == 3
