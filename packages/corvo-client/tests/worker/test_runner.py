import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from corvo_client.worker._context import Context, current_job
from corvo_client.worker._leases import Interruption, Lease
from corvo_client.worker._outcomes import (
    Cancel,
    Completed,
    Failed,
    Outcome,
    Released,
    Retry,
    Snooze,
)
from corvo_client.worker._runner import Runner
from corvo_client.worker._task import Task

MakeLease = Callable[..., Lease]


class Done:
    """Collects the outcomes of a runner."""

    def __init__(self) -> None:
        self.outcomes: asyncio.Queue[tuple[Lease, Outcome | None]] = asyncio.Queue()

    def __call__(self, lease: Lease, outcome: Outcome | None) -> None:
        lease.is_running = False
        self.outcomes.put_nowait((lease, outcome))

    async def next(self) -> Outcome | None:
        async with asyncio.timeout(10):
            return (await self.outcomes.get())[1]


@pytest.fixture
async def done() -> Done:
    return Done()


@pytest.fixture
async def runner(done: Done) -> AsyncIterator[Runner]:
    runner = Runner(4, asyncio.get_running_loop(), done)
    yield runner
    runner.close()


def make_task(function: Callable[..., Any]) -> Any:
    return Task(function, "default", None, {})  # type: ignore[arg-type]


class Order(BaseModel):
    number: int


class Flaky(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def _look_up(cls, value: int) -> int:
        raise ConnectionError("the directory is down")


def asynchronous(function: Callable[[], Any]) -> Callable[[], Any]:
    async def handler() -> Any:
        return function()

    return handler


def plain(function: Callable[[], Any]) -> Callable[[], Any]:
    def handler() -> Any:
        return function()

    return handler


def throw(error: BaseException) -> Callable[[], Any]:
    def function() -> Any:
        raise type(error)(*error.args)

    return function


@pytest.mark.parametrize("kind", [asynchronous, plain])
@pytest.mark.parametrize(
    ("function", "outcome"),
    [
        (lambda: None, Completed()),
        (lambda: {"sent": {1}}, Completed({"sent": [1]})),
        (lambda: Order(number=2), Completed({"number": 2})),
        (lambda: Snooze(2.5), Released(2.5)),
        (throw(Snooze(0)), Released(0)),
        (lambda: Cancel("no such user"), Failed("no such user", retry=False, cancel=True)),
        (throw(Cancel()), Failed("cancelled by its handler", retry=False, cancel=True)),
        (lambda: Retry("not yet"), Failed("not yet")),
        (throw(Retry()), Failed("retry requested by its handler")),
    ],
)
async def test_outcomes_of_handlers(
    runner: Runner,
    done: Done,
    make_lease: MakeLease,
    kind: Callable[[Callable[[], Any]], Callable[[], Any]],
    function: Callable[[], Any],
    outcome: Outcome,
) -> None:
    runner.start(make_task(kind(function)), make_lease())
    assert await done.next() == outcome


@pytest.mark.parametrize("kind", [asynchronous, plain])
@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no number"), "ValueError: no number"),
        (KeyError(), "KeyError"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (BaseException("panic"), "BaseException: panic"),
        (asyncio.CancelledError(), "CancelledError"),
    ],
)
async def test_an_error_is_a_failure_with_the_handlers_backtrace(
    runner: Runner,
    done: Done,
    make_lease: MakeLease,
    caplog: pytest.LogCaptureFixture,
    kind: Callable[[Callable[[], Any]], Callable[[], Any]],
    error: BaseException,
    text: str,
) -> None:
    runner.start(make_task(kind(throw(error))), make_lease(attempt=2, max_retries=5))
    outcome = await done.next()
    assert isinstance(outcome, Failed)
    assert (outcome.error, outcome.retry, outcome.cancel) == (text, True, False)
    assert outcome.backtrace is not None
    assert "raise type(error)" in outcome.backtrace
    assert "/_runner.py" not in outcome.backtrace
    assert "failed in attempt 2 of 5" in caplog.text


async def test_a_long_backtrace_keeps_its_end(
    runner: Runner, done: Done, make_lease: MakeLease
) -> None:
    runner.start(make_task(asynchronous(throw(ValueError("x" * 100_000 + "END")))), make_lease())
    outcome = await done.next()
    assert isinstance(outcome, Failed)
    assert outcome.backtrace is not None
    assert len(outcome.backtrace) == 32_768
    assert outcome.backtrace.rstrip().endswith("END")


@pytest.mark.parametrize("result", [object(), float("inf"), "\ud800"])
async def test_a_result_that_is_not_json_is_not_retried(
    runner: Runner, done: Done, make_lease: MakeLease, result: Any
) -> None:
    runner.start(make_task(asynchronous(lambda: result)), make_lease())
    outcome = await done.next()
    assert isinstance(outcome, Failed)
    assert outcome.error.startswith("the result cannot be written as JSON")
    assert not outcome.retry


async def test_an_invalid_payload_is_retried(
    runner: Runner, done: Done, make_lease: MakeLease
) -> None:
    async def handler(order: Order) -> None:
        raise AssertionError("must not run")

    def plain_handler(order: Order) -> None:
        raise AssertionError("must not run")

    for function in (handler, plain_handler):
        runner.start(make_task(function), make_lease({"number": "x"}))
        outcome = await done.next()
        assert isinstance(outcome, Failed)
        assert outcome.error.startswith("invalid payload: number: Input should be a valid integer")
        assert (outcome.retry, outcome.cancel, outcome.backtrace) == (True, False, None)


async def test_an_error_in_a_validator_is_retried(
    runner: Runner, done: Done, make_lease: MakeLease
) -> None:
    async def handler(order: Flaky) -> None: ...

    runner.start(make_task(handler), make_lease({"number": 1}))
    outcome = await done.next()
    assert isinstance(outcome, Failed)
    assert outcome.error == "ConnectionError: the directory is down"
    assert outcome.retry


async def test_payload_and_context_reach_the_handler(
    runner: Runner, done: Done, make_lease: MakeLease
) -> None:
    async def handler(context: Context, order: Order) -> list[Any]:
        return [context.id, current_job().id, order.number]

    def plain_handler(order: Order, context: Context) -> list[Any]:
        return [context.id, current_job().id, order.number, threading.current_thread().name]

    lease = make_lease({"number": 5})
    id_ = lease.job.job_id
    runner.start(make_task(handler), lease)
    assert await done.next() == Completed([id_, id_, 5])
    runner.start(make_task(plain_handler), lease)
    assert await done.next() == Completed([id_, id_, 5, "corvo-handler-1"])


@pytest.mark.parametrize(
    ("why", "outcome"),
    [
        (Interruption.CANCELLED, Failed("cancelled on request", retry=False, cancel=True)),
        (Interruption.SHUTDOWN, Released()),
        (Interruption.LOST, None),
    ],
)
async def test_outcomes_of_interrupted_handlers(
    runner: Runner, done: Done, make_lease: MakeLease, why: Interruption, outcome: Outcome | None
) -> None:
    is_running = asyncio.Event()
    go_on = threading.Event()

    async def handler() -> None:
        is_running.set()
        await asyncio.Event().wait()

    def plain_handler(context: Context) -> None:
        go_on.wait(10)
        context.raise_if_cancelled()

    lease = make_lease()
    runner.start(make_task(handler), lease)
    await is_running.wait()
    lease.interrupt(why)
    lease.cancel_task()
    lease.cancel_task()
    assert await done.next() == outcome

    lease = make_lease()
    runner.start(make_task(plain_handler), lease)
    lease.interrupt(why)
    go_on.set()
    assert await done.next() == outcome


@pytest.mark.parametrize("why", [Interruption.CANCELLED, Interruption.SHUTDOWN])
async def test_a_handler_that_completes_after_an_interruption_is_completed(
    runner: Runner, done: Done, make_lease: MakeLease, why: Interruption
) -> None:
    is_running = asyncio.Event()

    async def handler() -> str:
        is_running.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "finished in the last moment"
        raise AssertionError

    lease = make_lease()
    runner.start(make_task(handler), lease)
    await is_running.wait()
    lease.interrupt(why)
    lease.cancel_task()
    assert await done.next() == Completed("finished in the last moment")


async def test_the_outcome_of_a_lost_job_is_dropped(
    runner: Runner, done: Done, make_lease: MakeLease
) -> None:
    lease = make_lease()

    async def handler() -> str:
        lease.interrupt(Interruption.LOST)
        return "too late"

    runner.start(make_task(handler), lease)
    assert await done.next() is None


async def test_a_job_interrupted_before_its_start_does_not_run(
    runner: Runner, done: Done, make_lease: MakeLease
) -> None:
    async def handler() -> None:
        raise AssertionError("must not run")

    lease = make_lease()
    runner.start(make_task(handler), lease)
    lease.interrupt(Interruption.SHUTDOWN)
    lease.cancel_task()
    assert await done.next() == Released()


async def test_an_invalid_enqueue_inside_a_handler_is_retried(
    runner: Runner, done: Done, make_lease: MakeLease
) -> None:
    async def other(order: Order) -> None: ...

    other_task = make_task(other)

    async def handler() -> None:
        await other_task.aenqueue({"number": "x"})

    runner.start(make_task(handler), make_lease())
    outcome = await done.next()
    assert isinstance(outcome, Failed)
    assert outcome.error.startswith("InvalidPayload: invalid payload")
    assert outcome.retry


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 1e12])
def test_a_snooze_rejects_invalid_seconds(seconds: float) -> None:
    with pytest.raises(ValueError, match="seconds must be from 0 to"):
        Snooze(seconds)


def test_a_snooze_takes_seconds_or_a_timedelta() -> None:
    assert Snooze(timedelta(minutes=2)).seconds == 120
    assert Snooze(Decimal("2.5")).seconds == 2.5
    assert Snooze(3).seconds == 3
    with pytest.raises(ValueError, match="seconds must be from 0 to"):
        Snooze(timedelta(days=-1))
    with pytest.raises(ValueError, match="seconds must be from 0 to"):
        Snooze(10**400)
    for wrong in ("5", None, True, [5], datetime.now(UTC)):
        with pytest.raises(TypeError, match="Snooze takes seconds or a timedelta, not <class"):
            Snooze(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [Retry, Cancel])
def test_the_reason_of_an_outcome_becomes_text(kind: Any) -> None:
    assert kind(ValueError("no money")).reason == "ValueError: no money"
    assert kind({"code": 5}).reason == "{'code': 5}"
    assert kind(None).reason == "None"
    assert len(kind("x" * 9_000_000).reason) < 10_000


def test_arguments_of_other_queues_are_refused_with_a_sentence() -> None:
    with pytest.raises(
        TypeError, match=r"Retry takes only a reason, not exc, countdown; the delay"
    ):
        Retry(exc=ValueError(), countdown=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"raise Snooze\(seconds\) to choose a delay"):
        Retry(delay=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Cancel takes only a reason, not 2 arguments"):
        Cancel("no", "really")  # type: ignore[arg-type]
