"""A whole worker with a server in memory: real threads and loops, but no network."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from corvo_client.worker._api import LeasedJob
from corvo_client.worker._context import Context
from corvo_client.worker._leases import Interruption
from corvo_client.worker._outcomes import Snooze
from corvo_client.worker._run import Run, RunOptions
from corvo_client.worker._task import Task
from corvo_schema.outcomes import HeartbeatJobReply

MakeJob = Callable[..., LeasedJob]
Start = Callable[..., Any]


@pytest.fixture
async def start(server: Any) -> Start:
    """Return a context manager that runs a worker for one function until its block ends."""

    @asynccontextmanager
    async def start(
        function: Callable[..., Any],
        *,
        concurrency: int = 10,
        grace: float = 10.0,
        **options: float,
    ) -> AsyncIterator[Run]:
        run = Run(
            tasks={"default": Task(function, "default", None, {})},  # type: ignore[arg-type]
            api=server,
            heartbeat_sender=server,
            worker_id="worker_1",
            options=RunOptions(concurrency, grace, **options),
        )
        task = asyncio.create_task(run.run())
        try:
            yield run
        finally:
            run.stop()
            async with asyncio.timeout(10):
                await task

    return start


async def within_10_s(work: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(work, 10)


async def test_jobs_are_run_and_acked(server: Any, start: Start, make_job: MakeJob) -> None:
    async def double(number: int) -> int:
        return 2 * number

    server.add(*(make_job({"number": number}) for number in range(2000)))
    async with start(double, concurrency=50) as run:
        await server.seen(lambda: len(server.acks) == 2000)
        assert run.last_poll is not None
    assert sorted(ack.result for ack in server.acks) == [2 * number for number in range(2000)]
    assert server.fetches[0] == 50
    assert len(server.requests) < 200
    assert server.has_signed_off
    assert server.is_closed


async def test_prefetched_jobs_keep_their_leases_and_are_released_at_stop(
    server: Any, start: Start, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    are_running, may_end = asyncio.Event(), asyncio.Event()
    running: list[int] = []

    async def handler(number: int) -> None:
        running.append(number)
        if len(running) == 4:
            are_running.set()
        await may_end.wait()

    async def fetch_more(queues: tuple[str, ...], count: int, *, wait: bool) -> list[LeasedJob]:
        return await fetch(queues, count + 6, wait=wait)

    fetch = server.fetch
    monkeypatch.setattr(server, "fetch", fetch_more)
    jobs = [make_job({"number": number}) for number in range(10)]
    server.add(*jobs)
    async with start(handler, concurrency=4) as run:
        await server.seen(lambda: not server.jobs)
        await within_10_s(are_running.wait())
        await within_10_s(run._flush_notes())
        run.stop()
        await server.seen(lambda: server.releases)
        may_end.set()
    assert [*server.beats[0].jobs] == [job.job_id for job in jobs]
    assert running == [0, 1, 2, 3]
    assert [ack.job_id for ack in server.acks] == [job.job_id for job in jobs[:4]]
    assert [item.job_id for item in server.releases] == [job.job_id for job in jobs[4:]]


async def test_plain_functions_run_in_threads_up_to_the_concurrency(
    server: Any, start: Start, make_job: MakeJob
) -> None:
    together = threading.Barrier(3)

    def handler() -> None:
        together.wait(10)

    server.add(*(make_job() for _ in range(9)))
    async with start(handler, concurrency=3):
        await server.seen(lambda: len(server.acks) == 9)


async def test_outcomes_of_all_kinds_reach_the_server(
    server: Any, start: Start, make_job: MakeJob
) -> None:
    async def handler(say: str) -> str:
        if say == "snooze":
            raise Snooze(60)
        if say == "fail":
            raise ValueError(say)
        return say

    server.add(*(make_job({"say": say}) for say in ("done", "snooze", "fail")))
    async with start(handler):
        await server.seen(lambda: server.acks and server.fails and server.releases)
    assert server.acks[0].result == "done"
    assert server.fails[0].error == "ValueError: fail"
    assert server.releases[0].delay == 60_000


async def test_a_cancel_from_the_server_stops_an_async_handler(
    server: Any, start: Start, make_job: MakeJob
) -> None:
    is_running = asyncio.Event()
    seen: list[Interruption | None] = []

    async def handler(context: Context) -> None:
        is_running.set()
        try:
            await asyncio.Event().wait()
        finally:
            seen.append(context.interruption)

    job = make_job()
    server.add(job)
    server.answers[job.job_id] = HeartbeatJobReply(status="cancel", reason="cancelled")
    async with start(handler) as run:
        await within_10_s(is_running.wait())
        await within_10_s(run._flush_notes())
        await server.seen(lambda: server.fails)
    assert server.fails[0].cancel
    assert seen == [Interruption.CANCELLED]


async def test_a_cancel_from_the_server_is_seen_by_a_thread_while_the_loop_is_blocked(
    server: Any, start: Start, make_job: MakeJob
) -> None:
    is_running = threading.Event()
    has_seen = threading.Event()

    def handler(context: Context) -> None:
        is_running.set()
        while not context.cancelled:
            pass
        has_seen.set()
        context.raise_if_cancelled()

    job = make_job()
    server.add(job)
    server.answers[job.job_id] = HeartbeatJobReply(status="cancel", reason="cancelled")
    async with start(handler) as run:
        await within_10_s(asyncio.to_thread(is_running.wait, 10))
        run._heartbeat.flush()
        # Not awaited, to block the event loop.
        assert has_seen.wait(10)
        await server.seen(lambda: server.fails)
    assert server.fails[0].cancel


async def test_the_handler_of_a_lost_job_is_stopped_and_not_reported(
    server: Any, start: Start, make_job: MakeJob
) -> None:
    is_running, has_ended = asyncio.Event(), asyncio.Event()

    async def handler() -> None:
        is_running.set()
        try:
            await asyncio.Event().wait()
        finally:
            has_ended.set()

    job = make_job()
    server.add(job)
    server.answers[job.job_id] = HeartbeatJobReply(status="cancel", reason="lease_lost")
    async with start(handler) as run:
        await within_10_s(is_running.wait())
        await within_10_s(run._flush_notes())
        await within_10_s(has_ended.wait())
    assert server.requests == []


async def test_a_job_that_is_fetched_again_interrupts_its_older_attempt(
    server: Any, start: Start, make_job: MakeJob
) -> None:
    attempts: list[int] = []

    async def handler(context: Context) -> int:
        attempts.append(context.attempt)
        if context.attempt == 1:
            await asyncio.Event().wait()
        return context.attempt

    job = make_job()
    async with start(handler):
        server.add(job)
        await server.seen(lambda: len(server.fetches) == 2)
        server.add(job.model_copy(update={"attempt": 2, "lease_token": "second"}))
        await server.seen(lambda: server.acks)
    assert attempts == [1, 2]
    assert [(ack.result, ack.lease_token) for ack in server.acks] == [(2, "second")]


async def test_heartbeats_send_checkpoints_and_progress(
    server: Any, start: Start, make_job: MakeJob
) -> None:
    go_on = asyncio.Event()

    async def handler(context: Context) -> None:
        context.progress(1, 2)
        context.checkpoint({"page": 1})
        await go_on.wait()
        raise ValueError

    job = make_job()
    server.add(job)
    async with start(handler):
        await server.seen(lambda: server.beats)
        go_on.set()
        await server.seen(lambda: server.fails)
    assert server.beats[0].jobs[job.job_id].checkpoint == {"page": 1}
    assert server.beats[0].jobs[job.job_id].progress.current == 1


async def test_no_outcome_is_lost_during_a_restart_of_the_server(
    server: Any, start: Start, make_job: MakeJob
) -> None:
    go_on = asyncio.Event()

    async def handler() -> None:
        await go_on.wait()

    server.add(*(make_job() for _ in range(5)))
    async with start(handler, concurrency=5):
        await server.seen(lambda: not server.jobs)
        server.is_down = True
        go_on.set()
        await asyncio.sleep(0)
        server.is_down = False
        await server.seen(lambda: len(server.acks) == 5)


async def test_shutdown_waits_for_handlers_and_reports_them(
    server: Any, start: Start, make_job: MakeJob
) -> None:
    is_running, go_on = asyncio.Event(), asyncio.Event()

    async def handler() -> str:
        is_running.set()
        await go_on.wait()
        return "finished in time"

    server.add(make_job(), make_job())
    async with start(handler, concurrency=1) as run:
        await within_10_s(is_running.wait())
        run.stop()
        asyncio.get_running_loop().call_later(0.01, go_on.set)
    assert [ack.result for ack in server.acks] == ["finished in time"]
    assert len(server.jobs) == 1


async def test_shutdown_releases_interrupted_jobs_with_their_checkpoints(
    server: Any, start: Start, make_job: MakeJob
) -> None:
    async def handler(context: Context) -> None:
        context.checkpoint({"page": 7})
        await asyncio.Event().wait()

    job = make_job()
    server.add(job)
    async with start(handler, grace=0.0):
        await server.seen(lambda: not server.jobs)
        await server.seen(lambda: len(server.fetches) == 2)
    (release,) = server.releases
    assert (release.job_id, release.lease_token) == (job.job_id, "token")
    has_sent = any(beat.jobs[job.job_id].checkpoint == {"page": 7} for beat in server.beats)
    assert has_sent or release.checkpoint == {"page": 7}
    assert server.acks == server.fails == []


async def test_shutdown_releases_jobs_of_handlers_that_do_not_end(
    server: Any, start: Start, make_job: MakeJob, caplog: pytest.LogCaptureFixture
) -> None:
    is_running, go_on = threading.Event(), threading.Event()

    def handler() -> str:
        is_running.set()
        go_on.wait(10)
        return "too late"

    job = make_job()
    server.add(job)
    async with start(handler, grace=0.0, interrupted=0.0) as run:
        await within_10_s(asyncio.to_thread(is_running.wait, 10))
    assert [release.job_id for release in server.releases] == [job.job_id]
    assert f"releasing job {job.job_id}, its handler does not end" in caplog.text
    assert run.running == 1
    go_on.set()
    await within_10_s(run._capacity.all_free())
    assert server.acks == []


async def test_shutdown_ends_without_a_server(
    server: Any, start: Start, make_job: MakeJob, caplog: pytest.LogCaptureFixture
) -> None:
    server.add(make_job())

    async def handler() -> None:
        server.is_down = True

    async with start(handler, report_timeout=0.01):
        await server.seen(lambda: not server.jobs)
    assert "stopped with 1 outcomes unreported" in caplog.text


async def test_a_cancellation_releases_jobs_at_once(
    server: Any, start: Start, make_job: MakeJob
) -> None:
    is_running = asyncio.Event()

    async def handler() -> None:
        is_running.set()
        await asyncio.Event().wait()

    server.add(make_job())
    run = Run(
        tasks={"default": Task(handler, "default", None, {})},  # type: ignore[arg-type]
        api=server,
        heartbeat_sender=server,
        worker_id="worker_1",
        options=RunOptions(10, grace=100.0),
    )
    task = asyncio.create_task(run.run())
    await within_10_s(is_running.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within_10_s(task)
    assert len(server.releases) == 1


async def test_a_bug_in_a_loop_ends_the_worker(
    server: Any, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def handler() -> None: ...

    async def fetch(*_args: Any, **_options: Any) -> list[LeasedJob]:
        raise KeyError("a bug")

    monkeypatch.setattr(server, "fetch", fetch)
    with pytest.raises(KeyError, match="a bug"):
        async with start(handler, interrupted=0.0):
            await server.seen(lambda: server.is_closed)


async def test_a_job_that_cannot_start_fails(
    server: Any, start: Start, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    def handler() -> str:
        return "done"

    starts: list[Any] = []

    def start_thread(thread: threading.Thread, begin: Any = threading.Thread.start) -> None:
        starts.append(thread)
        if thread.name.startswith("corvo-handler") and len(starts) <= 3:
            raise RuntimeError("can't start new thread")
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", start_thread)
    server.add(*(make_job() for _ in range(5)))
    async with start(handler, concurrency=1):
        await server.seen(lambda: len(server.acks) + len(server.fails) == 5)
        assert server.fails
        assert {fail.error for fail in server.fails} == {"RuntimeError: can't start new thread"}
        assert all(fail.retry for fail in server.fails)


@pytest.mark.parametrize("part", ["_results", "_fetcher"])
async def test_a_cancelled_loop_ends_the_worker_with_an_error(
    server: Any, start: Start, make_job: MakeJob, part: str
) -> None:
    async def handler() -> None:
        for task in asyncio.all_tasks():
            if part in repr(task):
                task.cancel()

    server.add(make_job())
    with pytest.raises(RuntimeError, match="a handler has cancelled the tasks of its worker"):
        async with start(handler, interrupted=0.0):
            await server.seen(lambda: server.is_closed)


async def test_a_log_that_fails_ends_no_loop(server: Any, start: Start, make_job: MakeJob) -> None:
    def refuse(_record: logging.LogRecord) -> bool:
        raise ValueError("no logs today")

    async def double(number: int) -> int:
        return 2 * number

    logger = logging.getLogger("corvo.worker")
    logger.addFilter(refuse)
    try:
        server.is_down = True
        async with start(double) as run:
            await server.seen(lambda: server.fetches)
            server.is_down = False
            server.add(make_job({"number": 1}))
            await server.seen(lambda: len(server.acks) == 1)
            assert run.last_poll is not None
        assert server.has_signed_off
    finally:
        logger.removeFilter(refuse)
