"""Handlers whose call returns something that has not run yet."""

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from corvo_client.worker._awaiting import run_to_end
from corvo_client.worker._context import Context, current_job
from corvo_client.worker._leases import Interruption, Lease
from corvo_client.worker._middleware import CallNext, Surroundings
from corvo_client.worker._outcomes import Completed, Failed, Outcome
from corvo_client.worker._runner import Runner
from corvo_client.worker._task import Task

MakeLease = Callable[..., Lease]


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def forgetful(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)  # without await

    return wrapper


def synchronous(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return asyncio.run(function(*args, **kwargs))

    return wrapper


class Later:
    """An awaitable that is not a coroutine."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Any:
        yield from asyncio.sleep(0).__await__()
        return self.value


async def name_of_job(n: int) -> list[Any]:
    await asyncio.sleep(0)
    return [n, current_job().id]


def later(n: int) -> Awaitable[Any]:
    return Later([n, current_job().id])


class Object:
    async def __call__(self, n: int) -> list[Any]:
        return await name_of_job(n)

    async def method(self, n: int) -> list[Any]:
        return await name_of_job(n)


async def pass_on(_context: Context, call_next: CallNext) -> Any:
    return await call_next()


@pytest.fixture(params=[[], [pass_on]], ids=["bare", "middleware"])
async def run(
    request: pytest.FixtureRequest,
) -> AsyncIterator[Callable[..., Awaitable[Outcome | None]]]:
    outcomes: asyncio.Queue[Outcome | None] = asyncio.Queue()
    runner = Runner(
        2,
        asyncio.get_running_loop(),
        lambda _lease, outcome: outcomes.put_nowait(outcome),
        surroundings=Surroundings(request.param),
    )

    async def run(function: Callable[..., Any], lease: Lease) -> Outcome | None:
        runner.start(Task(function, "default", None, {}), lease)  # type: ignore[arg-type]
        async with asyncio.timeout(10):
            return await outcomes.get()

    yield run
    runner.close()


@pytest.mark.parametrize(
    "function",
    [
        wrapped(name_of_job),
        wrapped(wrapped(name_of_job)),
        forgetful(name_of_job),
        synchronous(name_of_job),
        later,
        Object(),
        Object().method,
        functools.partial(name_of_job),
        functools.partial(wrapped(name_of_job)),
    ],
)
async def test_what_a_handler_returns_is_awaited(
    run: Any, make_lease: MakeLease, function: Callable[..., Any]
) -> None:
    lease = make_lease({"n": 3})
    assert await run(function, lease) == Completed([3, lease.job.job_id])
    assert lease.task is None


async def test_errors_of_an_awaited_result_fail_the_attempt(
    run: Any, make_lease: MakeLease
) -> None:
    async def handler() -> None:
        raise ValueError("boom")

    outcome = await run(wrapped(handler), make_lease())
    assert isinstance(outcome, Failed)
    assert outcome.error == "ValueError: boom"
    assert "in handler" in (outcome.backtrace or "")


async def test_an_awaited_result_is_cancelled_with_its_job(run: Any, make_lease: MakeLease) -> None:
    is_running = asyncio.Event()

    async def handler() -> None:
        is_running.set()
        await asyncio.Event().wait()

    lease = make_lease()
    running = asyncio.ensure_future(run(wrapped(handler), lease))
    await asyncio.wait_for(is_running.wait(), 10)
    lease.interrupt(Interruption.CANCELLED)
    lease.cancel_task()
    assert await running == Failed("cancelled on request", retry=False, cancel=True)


async def test_a_result_is_not_awaited_after_a_cancellation(
    run: Any, make_lease: MakeLease
) -> None:
    started: list[Any] = []
    lease = make_lease()

    async def body() -> None:
        raise AssertionError("must not run")

    @functools.wraps(body)
    def handler() -> Any:
        lease.interrupt(Interruption.CANCELLED)
        started.append(body())
        return started[0]

    assert await run(handler, lease) == Failed("cancelled on request", retry=False, cancel=True)
    assert inspect.getcoroutinestate(started[0]) == inspect.CORO_CLOSED


def test_a_process_runs_an_awaitable_to_its_end() -> None:
    assert run_to_end(7) == 7
    assert run_to_end(Later(3)) == 3
    assert run_to_end(forgetful(asyncio.sleep)(0, "done")) == "done"
