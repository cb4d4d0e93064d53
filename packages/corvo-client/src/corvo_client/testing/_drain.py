"""Run recorded jobs with the code of the worker, without a server and without waiting."""

import asyncio
import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from corvo_client.testing import _transitions
from corvo_client.testing._clock import TestClock
from corvo_client.testing._store import JobStore
from corvo_client.worker import CallNext, Context, Worker
from corvo_client.worker._api import LeasedJob
from corvo_client.worker._leases import Interruption, Lease
from corvo_client.worker._middleware import Surroundings
from corvo_client.worker._outcomes import Failed, Outcome
from corvo_client.worker._runner import AnyTask, Runner
from corvo_schema import Job

_NO_LIMIT_MS = 1 << 60


class NeverEmpty(AssertionError):
    """The drain reached its maximum of attempts: jobs keep enqueueing jobs or snoozing."""


@dataclass(frozen=True, slots=True)
class Drained:
    """Result of a drain: number of attempts, and number of jobs per final state."""

    attempts: int = 0
    completed: int = 0
    dead: int = 0
    cancelled: int = 0


class Drain:
    """Runs the recorded jobs of one worker, one attempt at a time.

    Middleware and lifespan of the worker apply. Handlers with `executor="process"` run in a
    thread, because jobs that another process enqueues are not recorded.
    """

    def __init__(
        self, store: JobStore, clock: TestClock, worker: Worker, running: dict[str, Lease]
    ) -> None:
        self._store = store
        self._clock = clock
        self._worker = worker
        self._running = running
        self._errors: dict[str, BaseException] = {}

    async def run(
        self,
        queues: Sequence[str],
        *,
        within_ms: int | None,
        raise_errors: bool,
        max_attempts: int,
    ) -> Drained:
        """Run the due jobs, move the clock to the next due job, and repeat.

        Raises `NeverEmpty`. If `raise_errors`, raises the error of the first failed attempt.
        """
        until = _NO_LIMIT_MS if within_ms is None else self._clock() + within_ms
        counts: dict[str, int] = {}
        attempts = 0
        async with self._worker.lifespan(self._worker) as state:
            while (due := self._store.next_due(queues, until)) is not None:
                job, at = due
                self._clock.forward_to(at)
                if _transitions.is_expired(self._store, job):
                    with self._store.locked():
                        _transitions.expire(self._store, job)
                else:
                    if attempts == max_attempts:
                        raise NeverEmpty(
                            f"there are still jobs after {attempts} attempts; the next job has "
                            f"queue {job.queue!r} and payload {job.payload!r}"
                        )
                    attempts += 1
                    await self._attempt(job, state, raise_errors=raise_errors)
                counts[str(job.state)] = counts.get(str(job.state), 0) + 1
        ends = {name: counts.get(name, 0) for name in ("completed", "dead", "cancelled")}
        return Drained(attempts, **ends)

    async def _attempt(self, job: Job, state: Any, *, raise_errors: bool) -> None:
        with self._store.locked():
            _transitions.start(self._store, job, self._worker.id)
        lease = Lease(_leased_job(job), time.monotonic(), lambda: _store_notes(job, lease))
        self._running[job.id] = lease
        try:
            outcome = await self._outcome(self._worker.tasks[job.queue], lease, state)
        finally:
            lease.is_running = False
            del self._running[job.id]
        with self._store.locked():
            _transitions.finish(self._store, job, outcome)
        error = self._errors.pop(job.id, None)
        if raise_errors and isinstance(outcome, Failed) and not outcome.cancel:
            if isinstance(error, Exception):
                raise error
            # Also for KeyboardInterrupt and the like: they would end the test run.
            failure = AssertionError(f"job {job.id} of {job.queue} failed: {outcome.error}")
            raise failure from error

    async def _outcome(self, task: AnyTask, lease: Lease, state: Any) -> Outcome:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome | None] = loop.create_future()
        middleware = [self._catch, *self._worker.middleware]
        runner = Runner(
            1, loop, _set_result_of(future), surroundings=Surroundings(middleware, state)
        )
        if task.executor == "process":
            task = copy.copy(task)
            task.executor = "thread"
        runner.start(task, lease)
        try:
            outcome = await future
        except asyncio.CancelledError:
            lease.interrupt(Interruption.SHUTDOWN)
            lease.cancel_task()
            raise
        finally:
            runner.close()
        if outcome is None:
            raise RuntimeError("a recorded job cannot lose its lease")
        return outcome

    async def _catch(self, context: Context, call_next: CallNext) -> Any:
        try:
            return await call_next()
        except BaseException as error:
            self._errors[context.id] = error
            raise


def _set_result_of(
    future: "asyncio.Future[Outcome | None]",
) -> Callable[[Lease, Outcome | None], None]:
    def set_result(_lease: Lease, outcome: Outcome | None) -> None:
        if not future.done():
            future.set_result(outcome)

    return set_result


def _leased_job(job: Job) -> LeasedJob:
    return LeasedJob.model_validate(
        {
            "job_id": job.id,
            "queue": job.queue,
            "payload": copy.deepcopy(job.payload),
            "attempt": job.attempt,
            "max_retries": job.max_retries,
            "lease_duration": 60,
            "checkpoint": copy.deepcopy(job.checkpoint),
            "tags": dict(job.tags),
            "lease_token": "recorded",
            "traceparent": job.traceparent,
        }
    )


def _store_notes(job: Job, lease: Lease) -> None:
    job.checkpoint = lease.checkpoint
    job.progress = lease.unsent_progress or job.progress
