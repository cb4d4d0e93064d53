"""Recording of jobs instead of sending them, with assertions and drains."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from unittest.mock import patch

from pydantic import TypeAdapter

from corvo_client._answer import Answer
from corvo_client._async.transport import AsyncTransport
from corvo_client._call import Call
from corvo_client._options import AnySeconds
from corvo_client._redirect import NotRecorded, recording_here
from corvo_client._sync.transport import Transport
from corvo_client.testing._clock import TestClock
from corvo_client.testing._drain import Drain, Drained
from corvo_client.testing._matching import ANYTHING, Target, Wanted
from corvo_client.testing._memory import MemoryServer
from corvo_client.testing._store import JobStore
from corvo_client.worker import Worker
from corvo_client.worker._leases import Interruption, Lease
from corvo_schema import Job, QueueInfo, Schedule
from corvo_schema.durations import Seconds

_MAX_SHOWN = 20
_MAX_ATTEMPTS = 10_000

_seconds = TypeAdapter[int](Seconds)


class RecordedJobs:
    """The jobs that the clients of this process have enqueued since the recording started.

    The jobs are `corvo_schema.Job`s, like those of `Client.get_job`. `drain` changes them in place.
    Their clock moves only by `forward` and `drain`. Handlers see the real time.
    """

    def __init__(self) -> None:
        self._clock = TestClock()
        self._store = JobStore(self._clock)
        self._running: dict[str, Lease] = {}
        self._server = MemoryServer(self._store, self._interrupt)
        self._inline: tuple[Sequence[Worker], bool] | None = None
        self._is_draining = False

    @property
    def all(self) -> list[Job]:
        """All jobs in the order of their enqueue."""
        return list(self._store.jobs.values())

    @property
    def now(self) -> datetime:
        """Current time for delays, retries, unique periods and expiries."""
        return self._clock.now

    @property
    def schedules(self) -> dict[str, Schedule]:
        """Schedules by name. They have no `next_run`, because only a server computes it.

        `forward` and `drain` enqueue no jobs of schedules; `Client.run_schedule` does.
        """
        return dict(self._server.schedules.schedules)

    @property
    def queues(self) -> dict[str, QueueInfo]:
        """Queues by name, with pauses, limits, defaults and counts.

        A drain leaves out paused queues. It runs one job at a time, so that no limit of active jobs
        is exceeded. Rate limits delay no jobs.
        """
        return self._store.queues.list(self._store.jobs.values())

    def forward(self, seconds: AnySeconds) -> None:
        """Move the time `now` forward."""
        self._clock.forward(_seconds.validate_python(seconds))

    def enqueued(
        self, target: Target | None = None, payload: Any = ANYTHING, /, **arguments: Any
    ) -> list[Job]:
        """Return the jobs of a queue or a task that have at least these arguments.

        `payload` must equal the whole payload. Values are compared by `==`, also after conversion
        to JSON, so `unittest.mock.ANY` works. Raises TypeError for an argument that the task does
        not have, or that no recorded job of the queue has: it is probably misspelt.
        """
        wanted = Wanted(target, payload, arguments)
        wanted.check_names(self.all)
        return [job for job in self.all if wanted.matches(job)]

    def assert_enqueued(
        self, target: Target | None = None, payload: Any = ANYTHING, /, **arguments: Any
    ) -> Job:
        """Return the last job of `enqueued(...)`. Raises AssertionError if there is none."""
        found = self.enqueued(target, payload, **arguments)
        if not found:
            wanted = Wanted(target, payload, arguments)
            raise AssertionError(f"no job was enqueued to {wanted}{self._shown()}")
        return found[-1]

    def assert_not_enqueued(
        self, target: Target | None = None, payload: Any = ANYTHING, /, **arguments: Any
    ) -> None:
        """Raise AssertionError if `enqueued(...)` returns any job."""
        found = self.enqueued(target, payload, **arguments)
        if found:
            wanted = Wanted(target, payload, arguments)
            raise AssertionError(f"{len(found)} jobs were enqueued to {wanted}{self._shown()}")

    def clear(self) -> None:
        """Delete all jobs, batches, schedules and settings of queues. The time does not change."""
        self._store = JobStore(self._clock)
        self._server = MemoryServer(self._store, self._interrupt)

    def drain(
        self,
        worker: Worker,
        *,
        queue: str | None = None,
        within: AnySeconds | None = None,
        raise_errors: bool = False,
        max_attempts: int = _MAX_ATTEMPTS,
    ) -> Drained:
        """Run the jobs of the worker's queues, and the jobs that they enqueue, until none is left.

        Jobs run one at a time. If no job is due, the time moves to the next delay, retry or snooze,
        but at most by `within` (0: run only jobs that are due now). `raise_errors` raises the error
        of the first failed attempt. Raises `NeverEmpty` after `max_attempts`, and RuntimeError in
        an event loop: use `drain_async` there.
        """
        if _has_loop():
            raise RuntimeError("an event loop is running: use `await jobs.drain_async(...)`")
        return asyncio.run(
            self.drain_async(
                worker,
                queue=queue,
                within=within,
                raise_errors=raise_errors,
                max_attempts=max_attempts,
            )
        )

    async def drain_async(
        self,
        worker: Worker,
        *,
        queue: str | None = None,
        within: AnySeconds | None = None,
        raise_errors: bool = False,
        max_attempts: int = _MAX_ATTEMPTS,
    ) -> Drained:
        """Do what `drain` does, in the running event loop."""
        queues = list(worker.tasks) if queue is None else [queue]
        if missing := [name for name in queues if name not in worker.tasks]:
            raise ValueError(f"the worker has no task for queue {', '.join(missing)}")
        if self._is_draining:
            raise RuntimeError("a drain is already running; it runs the jobs of handlers, too")
        self._is_draining = True
        try:
            return await Drain(self._store, self._clock, worker, self._running).run(
                queues,
                within_ms=None if within is None else _seconds.validate_python(within),
                raise_errors=raise_errors,
                max_attempts=max_attempts,
            )
        finally:
            self._is_draining = False

    @contextmanager
    def inline(self, *workers: Worker, raise_errors: bool = True) -> Iterator[None]:
        """Run each job during its enqueue: it has finished when the enqueue returns.

        Delays are skipped, and retries run at once. If `raise_errors`, the enqueue raises the error
        of the handler. Jobs that a handler enqueues run after that handler.
        """
        before, self._inline = self._inline, (workers, raise_errors)
        try:
            yield
        finally:
            self._inline = before

    def _answer(self, call: Call[Any]) -> Answer:
        """Answer a call of a sync client."""
        answer = self._server.answer(call)
        if self._runs_now(call):
            _run_blocking(self._run_inline)
        return answer

    async def _answer_async(self, call: Call[Any]) -> Answer:
        """Answer a call of an async client."""
        answer = self._server.answer(call)
        if self._runs_now(call):
            await self._run_inline()
        return answer

    def _runs_now(self, call: Call[Any]) -> bool:
        is_enqueue = call.path.endswith(("/enqueue", "/enqueue/batch"))
        return self._inline is not None and is_enqueue and not self._is_draining

    async def _run_inline(self) -> None:
        workers, raise_errors = self._inline or ((), True)
        ran = True
        while ran:
            done = [await self.drain_async(w, raise_errors=raise_errors) for w in workers]
            ran = any(drained.attempts for drained in done)

    def _interrupt(self, job: Job) -> None:
        lease = self._running.get(job.id)
        if lease is not None and lease.interrupt(Interruption.CANCELLED) and lease.task is not None:
            lease.task.get_loop().call_soon_threadsafe(lease.cancel_task)

    def _shown(self) -> str:
        jobs = self.all
        if not jobs:
            return "; no jobs were enqueued"
        lines = [f"\n  {job.queue} {job.payload!r} ({job.state})" for job in jobs[-_MAX_SHOWN:]]
        more = len(jobs) - len(lines)
        return (
            "; enqueued jobs:" + ("" if not more else f"\n  ({more} earlier jobs)") + "".join(lines)
        )


@contextmanager
def recording() -> Iterator[RecordedJobs]:
    """Record the jobs that the clients and tasks of this process enqueue. Send nothing.

    Calls that need a real server raise `NoServer`. Processes that start meanwhile reach no server:
    their calls raise `NotRecorded`. The innermost of nested recordings gets the jobs.
    """
    jobs = RecordedJobs()
    process = os.getpid()

    def check_process() -> None:
        if os.getpid() != process:  # a fork
            raise NotRecorded

    # Documents are sealed within `send`, so those of recorded calls are plain. Only the rows of an
    # outbox are not.
    def plain(transport: Transport | AsyncTransport, call: Call[Any]) -> Call[Any]:
        return call if transport.sealing is None else transport.sealing.unsealed(call)

    def send(transport: Transport, call: Call[Any]) -> Answer:
        check_process()
        return jobs._answer(plain(transport, call))  # noqa: SLF001 - of this module

    async def send_async(transport: AsyncTransport, call: Call[Any]) -> Answer:
        check_process()
        return await jobs._answer_async(plain(transport, call))  # noqa: SLF001 - of this module

    def refuse(_transport: object, call: Call[Any]) -> Any:
        check_process()
        return jobs._answer(call)  # noqa: SLF001 - of this module

    with (
        recording_here(),
        patch.object(Transport, "send", send),
        patch.object(AsyncTransport, "send", send_async),
        patch.object(Transport, "open", refuse),
        patch.object(AsyncTransport, "open", refuse),
    ):
        yield jobs


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _run_blocking(work: Callable[[], Any]) -> None:
    """Run a coroutine and block until it ends, even if this thread runs an event loop."""
    if not _has_loop():
        asyncio.run(work())
        return
    errors: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(work())
        except BaseException as error:  # noqa: BLE001 - for the caller
            errors.append(error)

    thread = threading.Thread(target=run, name="corvo-inline")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
