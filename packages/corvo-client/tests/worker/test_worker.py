import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from corvo_client._async.client import AsyncClient
from corvo_client._errors import ConnectionFailed, make_error
from corvo_client.worker import Context, Worker
from corvo_client.worker._server import Server

MakeJob = Callable[..., Any]


class Email(BaseModel):
    to: str


@pytest.fixture
def patched(server: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Replace the network with the server in memory."""
    monkeypatch.setattr(Server, "api", lambda _self, terms: note(server, terms))
    monkeypatch.setattr(Server, "heartbeat_sender", lambda _self, _seconds: server)

    async def set_queue_defaults(_self: Server, *defaults: Any) -> None:
        server.defaults.append(defaults)
        server.has_changed()
        if server.defaults_error is not None:
            raise server.defaults_error

    monkeypatch.setattr(Server, "set_queue_defaults", set_queue_defaults)
    return server


def note(server: Any, terms: Any) -> Any:
    server.terms = terms
    return server


def test_task_decorates_a_function() -> None:
    worker = Worker()

    @worker.task("emails.send", max_retries=5, tags={"team": "a"})
    async def send(context: Context, email: Email) -> str:
        return f"{context.id}: {email.to}"

    @worker.task("sums")
    def add(a: int, b: int = 1) -> int:
        return a + b

    assert dict(worker.tasks) == {"emails.send": send, "sums": add}
    assert send.defaults == {"max_retries": 5, "tags": {"team": "a"}}
    assert add(2) == 3


def test_a_second_task_of_a_queue_is_rejected() -> None:
    worker = Worker()

    @worker.task("emails")
    async def send() -> None: ...

    with pytest.raises(ValueError, match="'emails' has a task already"):
        worker.task("emails")(send.function)
    with pytest.raises(
        ValueError, match="'no spaces' is not the name of a queue: must be 1 to 255"
    ):
        worker.task("no spaces")


def test_invalid_arguments_are_rejected() -> None:
    with pytest.raises(ValueError, match="concurrency must be at least 1"):
        Worker(concurrency=0)
    for timeout in (0, 61):
        with pytest.raises(ValueError, match="poll_timeout"):
            Worker(poll_timeout=timeout)
    for duration in (0.5, 100_000, float("nan")):
        with pytest.raises(ValueError, match="lease_duration"):
            Worker(lease_duration=duration)
    with pytest.raises(ValueError, match="its own API key"):
        Worker(AsyncClient("http://localhost"), api_key="k")


def test_one_function_can_serve_several_queues() -> None:
    worker = Worker()

    @worker.task("a")
    @worker.task("b", max_retries=1)
    async def task(n: int) -> int:
        return n

    assert worker.tasks["a"].function is worker.tasks["b"].function
    assert worker.tasks["a"].is_async
    assert worker.tasks["a"].queue == "a"


def test_each_worker_has_its_own_id() -> None:
    assert Worker().id != Worker().id
    assert Worker().id.startswith("worker_")


async def test_a_worker_needs_tasks_for_its_queues(patched: Any) -> None:
    with pytest.raises(ValueError, match="no task for any queue"):
        await Worker().run_async()
    worker = Worker(queues=["a", "b"])

    @worker.task("a")
    async def task() -> None: ...

    with pytest.raises(ValueError, match="no task for b"):
        await worker.run_async()


async def test_fetches_have_worker_id_and_queues(patched: Any) -> None:
    worker = Worker(queues=["b"], lease_duration=20, poll_timeout=5, hostname="box")

    @worker.task("a")
    @worker.task("b")
    async def task() -> None: ...

    async with worker:
        await patched.seen(lambda: patched.fetches)
    assert patched.fetched_queues[0] == ("b",)
    assert (patched.terms.worker_id, patched.terms.hostname) == (worker.id, "box")
    assert (patched.terms.lease_duration, patched.terms.timeout) == (20, 5)


async def test_a_worker_runs_until_stop_and_can_start_again(
    patched: Any, make_job: MakeJob
) -> None:
    worker = Worker()

    @worker.task("default")
    async def task(n: int) -> int:
        if n == 2:
            worker.stop()
        return n

    worker.stop()
    for _ in range(2):
        patched.add(make_job({"n": 1}), make_job({"n": 2}))
        async with asyncio.timeout(10):
            await worker.run_async()
    assert sorted(ack.result for ack in patched.acks) == [1, 1, 2, 2]


async def test_a_running_worker_cannot_start_again(patched: Any) -> None:
    worker = Worker()

    @worker.task("default")
    async def task() -> None: ...

    async with worker:
        with pytest.raises(RuntimeError, match="already running"):
            await worker.run_async()


async def test_liveness_depends_on_the_last_poll(patched: Any, make_job: MakeJob) -> None:
    worker = Worker(concurrency=1)
    is_running, go_on = asyncio.Event(), asyncio.Event()

    @worker.task("default")
    async def task() -> None:
        is_running.set()
        await go_on.wait()

    assert worker.seconds_since_poll is None
    assert not worker.is_live()
    patched.add(make_job())
    async with worker:
        await asyncio.wait_for(is_running.wait(), 10)
        assert worker.seconds_since_poll is not None
        assert worker.is_live(within=60)
        # The last poll was long ago, but all slots are taken.
        fetcher = worker._life.run._fetcher  # type: ignore[union-attr]
        fetcher.last_poll = time.monotonic() - 100
        assert worker.is_live(within=60)
        go_on.set()
        await patched.seen(lambda: patched.acks and len(patched.fetches) == 2)
        fetcher.last_poll = time.monotonic() - 100
        assert not worker.is_live(within=60)


async def test_the_death_of_a_worker_is_visible(
    patched: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker()

    @worker.task("default")
    async def task() -> None: ...

    may_die = asyncio.Event()

    async def fetch(_queues: object, _count: int, *, wait: bool) -> Any:
        await may_die.wait()
        raise KeyError("a bug")

    monkeypatch.setattr(patched, "fetch", fetch)
    with pytest.raises(RuntimeError, match="was not started"):
        await worker.wait()

    async def live_and_see_it() -> None:
        async with worker:
            waiting = [asyncio.create_task(worker.wait()) for _ in range(2)]
            may_die.set()
            async with asyncio.timeout(10):
                errors = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(error) for error in errors] == [KeyError, KeyError]
            assert "the worker ended with an error and runs no more jobs" in caplog.text
            worker._life.run._fetcher.last_poll = time.monotonic()  # type: ignore[union-attr]
            assert not worker.is_live()

    async def live_and_fail() -> None:
        async with worker:
            with pytest.raises(KeyError):
                await worker.wait()
            raise ZeroDivisionError

    with pytest.raises(KeyError, match="a bug"):
        await live_and_see_it()
    with pytest.raises(KeyError, match="a bug"):
        await worker.wait()
    with pytest.raises(ZeroDivisionError):  # the error of the block goes first
        await live_and_fail()


async def test_wait_returns_after_a_stop(patched: Any) -> None:
    worker = Worker()

    @worker.task("default")
    async def task() -> None: ...

    async with worker, asyncio.timeout(10):
        await patched.seen(lambda: patched.fetches)
        assert worker.is_live() is False  # no answer yet
        worker.stop()
        await worker.wait()
    await worker.wait()


async def test_a_lifespan_that_fails_is_raised_by_async_with(
    patched: Any, caplog: pytest.LogCaptureFixture
) -> None:
    @asynccontextmanager
    async def lifespan(_worker: Worker) -> AsyncIterator[None]:
        raise ConnectionError("no database")
        yield

    worker = Worker(lifespan=lifespan)

    @worker.task("default")
    async def task() -> None: ...

    with pytest.raises(ConnectionError, match="no database"):
        async with worker:
            raise AssertionError("must not begin")


async def test_a_cancelled_start_ends_the_worker(patched: Any) -> None:
    ended = asyncio.Event()

    @asynccontextmanager
    async def lifespan(_worker: Worker) -> AsyncIterator[None]:
        try:
            await asyncio.Event().wait()
            yield
        finally:
            ended.set()

    worker = Worker(lifespan=lifespan)

    @worker.task("default")
    async def task() -> None: ...

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), worker:
            raise AssertionError("must not begin")
    assert ended.is_set()
    assert not worker.is_live()


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), BaseException("panic")])
def test_an_error_in_a_task_of_a_handler_does_not_end_the_worker(
    monkeypatch: pytest.MonkeyPatch, make_job: MakeJob, error: BaseException
) -> None:
    worker = Worker("http://127.0.0.1:9", concurrency=1, grace_period=1)
    jobs = [make_job({"number": number}) for number in range(3)]
    ids = [job.job_id for job in jobs]
    reports: list[Any] = []

    async def fail() -> None:
        raise error

    @worker.task("default")
    async def task(number: int) -> None:
        if number == 0:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                group.create_task(asyncio.sleep(60))
        if number == 1:
            await asyncio.gather(fail())
        worker.stop()

    def api(_self: Server, _terms: Any) -> Any:
        class ServerApi:
            async def fetch(self, _queues: object, count: int, *, wait: bool) -> Any:
                return [jobs.pop(0)] if jobs else await asyncio.Event().wait()

            async def report(self, items: Any) -> Any:
                reports.extend(items)
                return []

            ack = fail = report

        return ServerApi()

    monkeypatch.setattr(Server, "api", api)
    worker.run()
    # A failure and a success may be sent at the same time, in two requests.
    texts = {report.job_id: getattr(report, "error", None) for report in reports}
    first, second, third = (texts[id_] for id_ in ids)
    assert type(error).__name__ in first
    assert type(error).__name__ in second
    assert third is None


def test_a_signal_shuts_the_worker_down_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    worker = Worker("http://127.0.0.1:9", grace_period=1)

    @worker.task("default")
    async def task() -> None: ...

    def api(_self: Server, _terms: Any) -> Any:
        class ServerApi:
            async def fetch(self, queues: tuple[str, ...], count: int, *, wait: bool) -> Any:
                asked.append((count, wait))
                os.kill(os.getpid(), signal.SIGTERM)
                await asyncio.Event().wait()

        return ServerApi()

    monkeypatch.setattr(Server, "api", api)
    worker.run()
    assert asked == [(10, True)]


def test_run_exits_the_process_if_a_handler_does_not_end(
    monkeypatch: pytest.MonkeyPatch, make_job: MakeJob
) -> None:
    worker = Worker("http://127.0.0.1:9", grace_period=0)
    go_on, released, exits = threading.Event(), [], []

    @worker.task("default")
    def task() -> None:
        worker.stop()
        go_on.wait(10)

    def api(_self: Server, _terms: Any) -> Any:
        class ServerApi:
            async def fetch(self, queues: tuple[str, ...], count: int, *, wait: bool) -> Any:
                if not released and not worker.running:
                    return [make_job()]
                return await asyncio.Event().wait()

            async def release(self, items: Any) -> Any:
                released.extend(items)
                return []

        return ServerApi()

    def leave(status: int) -> None:
        exits.append(status)
        go_on.set()

    monkeypatch.setattr(Server, "api", api)
    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr("logging.shutdown", lambda: None)
    worker.run()
    assert exits == [0]
    assert len(released) == 1


async def test_worker_publishes_the_options_of_its_tasks(patched: Any) -> None:
    worker = Worker(queues=["emails", "sums"])

    @worker.task("emails", max_retries=5, expire_after="1h")
    async def send(context: Context, email: Email) -> None: ...

    @worker.task("sums")
    def add(a: int, b: int = 1) -> int:
        return a + b

    @worker.task("elsewhere")
    async def other() -> None: ...

    async with worker:
        await patched.seen(lambda: len(patched.defaults) == 2)
    (emails, options, email), (sums, nothing, numbers) = patched.defaults
    assert (emails, options) == ("emails", {"max_retries": 5, "expire_after": "1h"})
    assert email == Email.model_json_schema()
    assert (sums, nothing, set(numbers["properties"])) == ("sums", {}, {"a", "b"})
    assert (numbers["required"], numbers["additionalProperties"]) == (["a"], False)


async def test_worker_does_not_publish_if_that_is_turned_off(patched: Any) -> None:
    worker = Worker(publish=False)

    @worker.task("emails", max_retries=5)
    async def send() -> None: ...

    async with worker:
        await patched.seen(lambda: patched.fetches)
        await asyncio.sleep(0)
    assert patched.defaults == []


@pytest.mark.parametrize(
    ("error", "queues"),
    [
        (make_error("no route", code="NOT_FOUND", status=404), ["a"]),  # an older server
        (make_error("the schema", code="VALIDATION_ERROR", status=400), ["a", "b"]),
        (ConnectionFailed("refused"), ["a", "a"]),
    ],
)
async def test_worker_runs_although_it_cannot_publish(
    patched: Any, error: Exception, queues: list[str]
) -> None:
    patched.defaults_error = error
    worker = Worker()

    @worker.task("a")
    async def first() -> None: ...

    @worker.task("b")
    async def second() -> None: ...

    async with worker:
        await patched.seen(lambda: len(patched.defaults) == len(queues) and patched.fetches)
    assert [queue for queue, _, _ in patched.defaults] == queues


async def test_too_large_schema_is_not_published(patched: Any) -> None:
    worker = Worker()

    @worker.task("a", max_retries=5)
    async def first(text: Annotated[str, Field(description="x" * 70_000)]) -> None: ...

    async with worker:
        await patched.seen(lambda: patched.defaults)
    assert patched.defaults == [("a", {"max_retries": 5}, None)]
