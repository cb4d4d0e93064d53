"""Middleware and lifespan."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from corvo_client.worker import CallNext, Context, InvalidPayload, Snooze, Worker
from corvo_client.worker._leases import Interruption, Lease
from corvo_client.worker._middleware import Surroundings
from corvo_client.worker._outcomes import Completed, Failed, Outcome, Released
from corvo_client.worker._runner import Runner
from corvo_client.worker._server import Server
from corvo_client.worker._task import Task

MakeLease = Callable[..., Lease]
tenant = contextvars.ContextVar("tenant", default="nobody")


class Bench:
    """A runner that returns the outcome of a job."""

    def __init__(self) -> None:
        self.surroundings = Surroundings(state="the state")
        self.runner = Runner(
            4, asyncio.get_running_loop(), self._done, surroundings=self.surroundings
        )
        self._outcomes: asyncio.Queue[Outcome | None] = asyncio.Queue()

    async def run(self, function: Callable[..., Any], lease: Lease) -> Outcome | None:
        self.start(function, lease)
        return await self.outcome()

    def start(self, function: Callable[..., Any], lease: Lease) -> None:
        task: Any = Task(function, "default", None, {})  # type: ignore[arg-type]
        self.runner.start(task, lease)

    async def outcome(self) -> Outcome | None:
        async with asyncio.timeout(10):
            return await self._outcomes.get()

    def _done(self, lease: Lease, outcome: Outcome | None) -> None:
        lease.is_running = False
        self._outcomes.put_nowait(outcome)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    bench.runner.close()


async def asynchronous(context: Context, n: int = 1) -> list[Any]:
    return [n, tenant.get(), context.state]


def plain(context: Context, n: int = 1) -> list[Any]:
    assert threading.current_thread().name.startswith("corvo-handler")
    return [n, tenant.get(), context.state]


@pytest.mark.parametrize("handler", [asynchronous, plain])
async def test_the_first_middleware_is_outermost(
    bench: Bench, make_lease: MakeLease, handler: Callable[..., Any]
) -> None:
    seen: list[Any] = []

    async def outer(context: Context, call_next: CallNext) -> Any:
        seen.append(("outer", context.payload, context.traceparent))
        tenant.set("acme")
        result = await call_next()
        seen.append("outer done")
        return {"got": result}

    async def inner(context: Context, call_next: CallNext) -> Any:
        seen.append("inner")
        return await call_next()

    bench.surroundings.middleware += [outer, inner]
    outcome = await bench.run(handler, make_lease({"n": 5}, traceparent="00-a-b-01"))
    assert outcome == Completed({"got": [5, "acme", "the state"]})
    assert seen == [("outer", {"n": 5}, "00-a-b-01"), "inner", "outer done"]
    assert tenant.get() == "nobody"


@pytest.mark.parametrize("handler", [asynchronous, plain])
async def test_middleware_can_change_the_outcome(
    bench: Bench, make_lease: MakeLease, handler: Callable[..., Any]
) -> None:
    caught: list[BaseException] = []

    async def guard(context: Context, call_next: CallNext) -> Any:
        if context.attempt == 1:
            raise Snooze(7)
        try:
            return await call_next()
        except InvalidPayload as error:
            caught.append(error)
            raise

    bench.surroundings.middleware.append(guard)
    assert await bench.run(handler, make_lease()) == Released(7)
    outcome = await bench.run(handler, make_lease({"n": "x"}, attempt=2))
    assert isinstance(outcome, Failed)
    assert outcome.retry
    assert len(caught) == 1


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no"), "ValueError: no"),
        (SystemExit(3), "SystemExit: 3"),
        (StopIteration(1), "RuntimeError: the handler raised StopIteration: 1"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
    ],
)
async def test_errors_of_plain_handlers_pass_through_middleware(
    bench: Bench, make_lease: MakeLease, error: BaseException, text: str
) -> None:
    def handler() -> None:
        raise error

    async def middleware(_context: Context, call_next: CallNext) -> Any:
        return await call_next()

    bench.surroundings.middleware.append(middleware)
    outcome = await bench.run(handler, make_lease())
    assert isinstance(outcome, Failed)
    assert outcome.error == text


async def test_a_cancelled_plain_handler_inside_middleware_is_awaited(
    bench: Bench, make_lease: MakeLease
) -> None:
    is_running, go_on = threading.Event(), threading.Event()

    def handler(context: Context) -> None:
        is_running.set()
        go_on.wait(10)
        context.raise_if_cancelled()

    async def middleware(_context: Context, call_next: CallNext) -> Any:
        return await call_next()

    bench.surroundings.middleware.append(middleware)
    lease = make_lease()
    bench.start(handler, lease)
    interruptible = asyncio.create_task(asyncio.Event().wait())
    await asyncio.to_thread(is_running.wait, 10)
    lease.interrupt(Interruption.CANCELLED)
    lease.cancel_task()
    interruptible.cancel()
    await asyncio.wait([interruptible])  # a cancelled middleware would also have ended by now
    assert lease.is_running
    go_on.set()
    assert await bench.outcome() == Failed("cancelled on request", retry=False, cancel=True)


async def test_middleware_can_be_cancelled(bench: Bench, make_lease: MakeLease) -> None:
    is_waiting = asyncio.Event()

    async def middleware(_context: Context, _call_next: CallNext) -> Any:
        is_waiting.set()
        await asyncio.Event().wait()

    bench.surroundings.middleware.append(middleware)
    lease = make_lease()
    bench.start(plain, lease)
    await is_waiting.wait()
    lease.interrupt(Interruption.SHUTDOWN)
    lease.cancel_task()
    assert await bench.outcome() == Released()


def test_the_result_of_a_thread_is_dropped_after_its_loop_ends() -> None:
    from corvo_client.worker._runner import _settle

    loop = asyncio.new_event_loop()
    future: asyncio.Future[Any] = loop.create_future()
    future.cancel()
    _settle(future, 1, None)
    loop.close()


@pytest.fixture
def patched(server: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(Server, "api", lambda _self, _terms: server)
    monkeypatch.setattr(Server, "heartbeat_sender", lambda _self, _seconds: server)
    return server


async def test_lifespan_starts_before_the_first_job_and_ends_after_the_last_report(
    patched: Any, make_job: Callable[..., Any]
) -> None:
    events: list[Any] = []

    @asynccontextmanager
    async def lifespan(worker: Worker) -> AsyncIterator[dict[str, int]]:
        events.append(("begins", worker is live, list(patched.fetches)))
        yield {"pool": 7}
        events.append(("ends", len(patched.acks)))

    live = Worker(lifespan=lifespan)

    @live.task("default")
    async def task(context: Context) -> Any:
        return context.state

    @live.use
    async def middleware(context: Context, call_next: CallNext) -> Any:
        return [context.state["pool"], await call_next()]

    assert callable(middleware)
    for _ in range(2):
        patched.add(make_job())
        async with live:
            await patched.seen(lambda: patched.acks)
        assert events == [("begins", True, []), ("ends", 1)]
        assert patched.acks[0].result == [7, {"pool": 7}]
        events.clear()
        patched.requests.clear()
        patched.fetches.clear()


async def test_a_lifespan_that_fails_ends_the_worker(patched: Any) -> None:
    @asynccontextmanager
    async def lifespan(_worker: Worker) -> AsyncIterator[None]:
        raise ConnectionError("no database")
        yield

    worker = Worker(lifespan=lifespan)

    @worker.task("default")
    async def task() -> None: ...

    with pytest.raises(ConnectionError, match="no database"):
        await worker.run_async()
    assert patched.fetches == []


def test_what_cannot_be_middleware_is_refused() -> None:
    worker = Worker()

    async def too_few(_context: Context) -> None: ...

    async def generator(_context: Context, call_next: CallNext) -> Any:
        yield await call_next()

    class Passing:
        async def __call__(self, _context: Context, call_next: CallNext) -> Any:
            return await call_next()

    refused: list[tuple[Any, str]] = [
        (5, "must be an async function, not 5"),
        (too_few, r"write `async def too_few\(context, call_next\)`"),
        (generator, "is a generator"),
    ]
    for middleware, message in refused:
        with pytest.raises(TypeError, match=message):
            worker.use(middleware)
    assert worker.middleware == ()
    worker.use(Passing())
