"""Whatever a handler raises or returns, its attempt ends with an outcome that can be sent."""

import asyncio
import itertools
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, model_serializer

from corvo_client.testing import recording
from corvo_client.worker import CallNext, Cancel, Context, Retry, Snooze, Worker
from corvo_client.worker._api import LeasedJob
from corvo_client.worker._leases import Lease, LeaseTable
from corvo_client.worker._middleware import Surroundings
from corvo_client.worker._outcomes import Completed, Failed, Outcome, Released
from corvo_client.worker._reports import Reporter
from corvo_client.worker._runner import Runner
from corvo_client.worker._task import Task
from corvo_schema.ids import new_job_id

Handler = Callable[[], Any]
Wrap = Callable[[Handler], Handler]
MakeLease = Callable[..., Lease]


class Panic(BaseException):
    """Like the panic of a Rust extension: no subclass of Exception."""


class Fuse(BaseModel):
    """A result whose serialisation panics."""

    @model_serializer
    def _write(self) -> Any:
        raise Panic("in a serialiser")


def failing(error: type[BaseException]) -> Callable[..., Any]:
    def method(*_: object) -> Any:
        raise error("hostile")

    return method


def recurse(self: object) -> str:
    return str(self)


BASES = [
    Exception,
    BaseException,
    ValueError,
    Panic,
    KeyboardInterrupt,
    SystemExit,
    GeneratorExit,
    StopIteration,
    StopAsyncIteration,
    asyncio.CancelledError,
    RecursionError,
    MemoryError,
    TimeoutError,
]
# A TaskGroup ignores the cancellation of a task. The other two stop a loop that has no worker.
IN_GROUPS = [
    base for base in BASES if base not in {asyncio.CancelledError, KeyboardInterrupt, SystemExit}
]
OUTCOMES = [Snooze, Cancel, Retry]
METHODS = ["__str__", "__repr__", "__hash__", "__eq__", "__getattribute__", "__reduce__"]
PROPERTIES = ["__class__", "__cause__", "__traceback__", "__notes__", "args", "seconds", "reason"]
hostile_methods = st.dictionaries(
    st.sampled_from(METHODS),
    st.sampled_from([failing(ValueError), failing(Panic), failing(SystemExit), recurse])
    | st.builds(lambda value: lambda *_: value, st.none() | st.text() | st.integers()),
    max_size=2,
)
hostile_properties = st.dictionaries(
    st.sampled_from(PROPERTIES),
    st.builds(property, st.sampled_from([failing(ValueError), failing(Panic)])),
    max_size=2,
)
messages = st.text() | st.binary() | st.none() | st.just("\ud800\0") | st.just("x" * 9_000_000)


# Hypothesis itself cannot handle such objects, so the strategies make functions that make them.
Make = Callable[[], Any]


@st.composite
def errors(draw: st.DrawFn) -> Make:
    """Make an error of any class, with any message and members that fail."""
    base = draw(st.sampled_from(BASES))
    members = {**draw(hostile_methods), **draw(hostile_properties)}
    message = draw(messages)
    return lambda: type("Hostile", (base,), members)(message)


@st.composite
def special_errors(draw: st.DrawFn) -> Make:
    """Make a Snooze, Cancel or Retry, or a subclass that does not keep their rules."""
    kind = draw(st.sampled_from([Cancel, Retry]))
    make_reason = draw(errors() | messages.map(lambda message: lambda: message))
    members = {**draw(hostile_methods), **draw(hostile_properties)}
    base = draw(st.sampled_from(OUTCOMES))
    own = {"__init__": lambda *_: None, **members}
    makes: list[Make] = [
        lambda: kind(make_reason()),
        partial(type("Own", (base,), own)),
        lambda: Snooze(1),
    ]
    return makes[draw(st.integers(0, len(makes) - 1))]


def group_of(make: Make) -> Make:
    return lambda: BaseExceptionGroup("several", [make(), ValueError("another")])


any_error = errors() | special_errors() | errors().map(group_of)


def throw(make: Make) -> Handler:
    def handler() -> Any:
        raise make()

    return handler


def yield_and_throw(make: Make) -> Handler:
    def handler() -> Any:
        yield 1
        raise make()

    return handler


class Dull:
    """An object that no result may be."""

    __class__ = property(failing(Panic))  # type: ignore[assignment]


values = st.recursive(st.text() | st.floats() | st.binary() | st.none(), st.lists)
functions: st.SearchStrategy[Handler] = st.one_of(
    any_error.map(throw),
    any_error.map(yield_and_throw),
    any_error,  # returned instead of raised
    values.map(lambda value: lambda: value),
    st.sampled_from(
        [Fuse, object, Dull, lambda: "\ud800", lambda: 10**5000, lambda: iter([Panic])]
    ),
)


def plain(function: Handler) -> Handler:
    def handler() -> Any:
        return function()

    return handler


def asynchronous(function: Handler) -> Handler:
    async def handler() -> Any:
        await asyncio.sleep(0)
        return function()

    return handler


async def passing(_context: Context, call_next: CallNext) -> Any:
    return await call_next()


async def reraising(_context: Context, call_next: CallNext) -> Any:
    try:
        return await call_next()
    finally:
        await asyncio.sleep(0)


class Server:
    """Accepts the reports that a server would accept."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    async def _take(self, items: Any) -> list[Any]:
        self.items += items
        return []

    ack = fail = release = _take


async def report_of(
    handler: Handler, middleware: list[Any]
) -> tuple[Outcome | None, list[Any], int]:
    """Return the outcome, what reached the server, and the number of remaining leases."""
    done: asyncio.Queue[Outcome | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    runner = Runner(
        1,
        loop,
        lambda _lease, outcome: done.put_nowait(outcome),
        surroundings=Surroundings(middleware),
    )
    job = LeasedJob(job_id=new_job_id(), queue="default", payload={}, attempt=1, lease_duration=30)
    lease = Lease(job, loop.time(), lambda: None)
    leases = LeaseTable()
    leases.add(lease)
    server = Server()
    try:
        runner.start(Task(handler, "default", None, {}), lease)  # type: ignore[arg-type]
        async with asyncio.timeout(60):
            outcome = await done.get()
        if outcome is not None:
            reporter: Any = Reporter(server, leases, _flush)  # type: ignore[arg-type]
            assert await reporter.deliver([(lease, outcome)]) == []
        # The runner still works.
        middleware.clear()
        runner.start(Task(plain(lambda: 1), "default", None, {}), lease)  # type: ignore[arg-type]
        async with asyncio.timeout(60):
            assert await done.get() == Completed(1)
    finally:
        runner.close()
    return outcome, server.items, len(leases)


async def _flush() -> bool:
    return True


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    function=functions,
    wrap=st.sampled_from([plain, asynchronous]),
    middleware=st.lists(st.sampled_from([passing, reraising]), max_size=2),
)
def test_every_attempt_ends_with_an_outcome(
    function: Handler, wrap: Wrap, middleware: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "corvo.worker")
    caplog.clear()
    outcome, items, leases = asyncio.run(report_of(wrap(function), middleware))
    assert (len(items), leases) == (1, 0)
    if isinstance(outcome, Failed):
        assert len(outcome.error) <= 8_192
        assert len(outcome.backtrace or "") <= 32_768
        assert caplog.records
    else:
        assert isinstance(outcome, Completed | Released)


@pytest.mark.parametrize("base", IN_GROUPS)
async def test_errors_in_a_task_group_end_the_attempt(base: type[BaseException]) -> None:
    async def handler() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(60))
            group.create_task(asynchronous(throw(partial(base, "no")))())

    outcome, items, _ = await report_of(handler, [])
    assert isinstance(outcome, Failed)
    assert len(items) == 1


@pytest.mark.parametrize("base", [Panic, KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("wrap", [plain, asynchronous])
async def test_an_error_of_middleware_ends_the_attempt(
    base: type[BaseException], wrap: Wrap
) -> None:
    async def middleware(_context: Context, _call_next: CallNext) -> Any:
        raise base("no")

    outcome, _, _ = await report_of(wrap(lambda: 1), [middleware])
    assert isinstance(outcome, Failed)
    assert outcome.error == f"{base.__name__}: no"


@pytest.mark.parametrize("middleware", [[], [passing]])
async def test_a_generator_is_collected_and_its_error_is_retried(middleware: list[Any]) -> None:
    outcome, _, _ = await report_of(plain(lambda: (n for n in range(3))), middleware)
    assert outcome == Completed([0, 1, 2])
    outcome, _, _ = await report_of(yield_and_throw(partial(ValueError, "half way")), middleware)
    assert isinstance(outcome, Failed)
    assert (outcome.error, outcome.retry) == ("ValueError: half way", True)
    assert outcome.backtrace is not None
    assert "raise make()" in outcome.backtrace
    outcome, _, _ = await report_of(yield_and_throw(partial(Snooze, 5)), middleware)
    assert outcome == Released(5)


async def test_a_log_that_fails_does_not_cost_the_outcome() -> None:
    def refuse(_record: logging.LogRecord) -> bool:
        raise Panic("no logs today")

    logger = logging.getLogger("corvo.worker")
    logger.addFilter(refuse)
    try:
        for wrap in (plain, asynchronous):
            for kind in (ValueError, Retry, Cancel):
                outcome, items, _ = await report_of(wrap(throw(partial(kind, "x"))), [])
                assert isinstance(outcome, Failed)
                assert len(items) == 1
    finally:
        logger.removeFilter(refuse)


@pytest.mark.parametrize("base", [Panic, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("is_async", [True, False])
def test_a_drain_follows_the_same_rules(base: type[BaseException], is_async: bool) -> None:
    worker = Worker()
    handler = (asynchronous if is_async else plain)(throw(partial(base, "no")))
    task = worker.task("default", max_retries=1)(handler)
    with recording() as jobs:
        task.enqueue()
        assert jobs.drain(worker).dead == 1
        assert jobs.all[0].errors[0].error == f"{base.__name__}: no"
        task.enqueue()
        with pytest.raises(AssertionError, match=f"{base.__name__}: no"):
            jobs.drain(worker, raise_errors=True)


class Fading(Exception):
    """An error whose traceback can be read only once."""

    reads = 0

    @property
    def __traceback__(self) -> Any:  # type: ignore[override]
        self.reads += 1
        if self.reads > 1:
            raise Panic("no more")
        return None

    @__traceback__.setter
    def __traceback__(self, _value: object) -> None: ...


@pytest.mark.parametrize("wrap", [plain, asynchronous])
async def test_an_error_that_changes_while_it_is_described_ends_the_attempt(wrap: Wrap) -> None:
    outcome, items, _ = await report_of(wrap(throw(Fading)), [])
    assert isinstance(outcome, Failed)
    assert outcome.error == "Fading"
    assert len(items) == 1


class Own:
    """An awaitable that returns itself, like the clients of some libraries."""

    def __await__(self) -> Any:
        return self
        yield


class Next:
    """An awaitable that returns another one, without end."""

    def __await__(self) -> Any:
        return Next()
        yield


@pytest.mark.parametrize("kind", [Own, Next])
@pytest.mark.parametrize("wrap", [plain, asynchronous])
async def test_an_awaitable_without_end_ends_the_attempt(wrap: Wrap, kind: Handler) -> None:
    outcome, _, _ = await report_of(wrap(kind), [])
    assert isinstance(outcome, Failed)
    assert "whose result is an awaitable again" in outcome.error


@pytest.mark.parametrize("wrap", [plain, asynchronous])
async def test_an_async_generator_is_collected(wrap: Wrap) -> None:
    async def numbers() -> Any:
        yield 1
        yield 2

    outcome, _, _ = await report_of(wrap(numbers), [])
    assert outcome == Completed([1, 2])


@pytest.mark.parametrize("wrap", [plain, asynchronous])
async def test_a_generator_without_end_ends_the_attempt(
    wrap: Wrap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corvo_client.worker._to_outcome.MAX_ITEMS", 1000)
    outcome, _, _ = await report_of(wrap(itertools.count), [])
    assert outcome == Failed("the result has more than 1,000 items", retry=False)


@pytest.mark.parametrize("wrap", [plain, asynchronous])
async def test_middleware_that_does_not_await_the_handler_runs_it(wrap: Wrap) -> None:
    async def forgetful(_context: Context, call_next: CallNext) -> Any:
        return call_next()

    outcome, _, _ = await report_of(wrap(lambda: 1), [forgetful])
    assert outcome == Completed(1)
