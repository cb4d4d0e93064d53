"""Runs one job: payload to arguments, call, and what came of it to an outcome."""

import asyncio
import contextvars
import functools
import logging
import traceback
from collections.abc import Callable
from typing import Any

from corvo_client.worker._context import Context, enter
from corvo_client.worker._leases import Interruption, Lease, jsonable
from corvo_client.worker._outcomes import (
    Cancel,
    Completed,
    Failed,
    Outcome,
    Released,
    Retry,
    Snooze,
)
from corvo_client.worker._payload import UnfitJob
from corvo_client.worker._task import Task
from corvo_client.worker._threads import Threads

_log = logging.getLogger("corvo.worker")
_MOST_BACKTRACE = 32_768
_NO_RESULT = Completed()

AnyTask = Task[..., ..., Any]


class Runner:
    """Starts jobs and hands each outcome to `on_done`, in the event loop.

    None instead of an outcome says that there is nothing to report: the lease was lost. Async
    handlers run in an asyncio task each, plain ones in a thread.
    """

    def __init__(
        self,
        concurrency: int,
        loop: asyncio.AbstractEventLoop,
        on_done: Callable[[Lease, Outcome | None], None],
    ) -> None:
        self._loop = loop
        self._on_done = on_done
        self._threads: Threads[tuple[Lease, Outcome | None]] = Threads(
            concurrency, loop, lambda done: on_done(*done)
        )

    def start(self, task: AnyTask, lease: Lease) -> None:
        """Run a job of `task`."""
        if task.is_async:
            # Until its first step the loop holds the asyncio task, from then on the lease does.
            self._loop.create_task(self._run_in_loop(task, lease))
        else:
            self._threads.submit(functools.partial(_run_in_thread, task, lease))

    def close(self) -> None:
        """Let idle threads end. Busy ones end with what they are doing."""
        self._threads.close()

    async def _run_in_loop(self, task: AnyTask, lease: Lease) -> None:
        # Set here and not by `start`: a task that is cancelled before its first step never runs,
        # and its job would never have an outcome.
        lease.task = asyncio.current_task()
        context = Context(lease)
        enter(context)
        try:
            context.raise_if_cancelled()
            outcome = _outcome_of_result(await task.bound(lease.job.payload, context)(), lease)
        except (Exception, asyncio.CancelledError, SystemExit) as error:  # noqa: BLE001 - whatever
            outcome = _outcome_of_error(error, lease)
        self._on_done(lease, outcome)


def _run_in_thread(task: AnyTask, lease: Lease) -> tuple[Lease, Outcome | None]:
    context = Context(lease)
    try:
        context.raise_if_cancelled()
        call = task.bound(lease.job.payload, context)
        result = contextvars.copy_context().run(_call_with_context, call, context)
        return lease, _outcome_of_result(result, lease)
    except BaseException as error:  # noqa: BLE001 - whatever a handler raises is its outcome
        return lease, _outcome_of_error(error, lease)


def _call_with_context(call: Callable[[], Any], context: Context) -> Any:
    enter(context)
    return call()


def _outcome_of_result(result: Any, lease: Lease) -> Outcome | None:
    if lease.interruption is Interruption.LOST:
        return None
    if result is None:
        return _NO_RESULT
    if isinstance(result, Snooze | Cancel | Retry):
        return _outcome_of_error(result, lease)
    try:
        return Completed(jsonable(result))
    except ValueError as error:
        # Running it again would do the work twice and end here again.
        return Failed(f"the result cannot be stored as JSON: {error}", retry=False)


def _outcome_of_error(error: BaseException, lease: Lease) -> Outcome | None:
    outcome: Outcome | None
    match error, lease.interruption:
        case _, Interruption.LOST:
            outcome = None
        case Snooze(), _:
            outcome = Released(error.seconds)
        case Cancel(), _:
            outcome = Failed(error.reason, retry=False, cancel=True)
        case Retry(), _:
            outcome = Failed(error.reason)
        case UnfitJob(), _:
            # No attempt can turn out better: the payload stays what it is.
            _log.error("job %s of %s: %s", lease.job.job_id, lease.job.queue, error)
            outcome = Failed(str(error), retry=False)
        case asyncio.CancelledError(), Interruption.SHUTDOWN:
            outcome = Released()
        case asyncio.CancelledError(), Interruption.CANCELLED:
            outcome = Failed("cancelled on request", retry=False, cancel=True)
        case _:
            outcome = _failure(error, lease)
    return outcome


def _failure(error: BaseException, lease: Lease) -> Failed:
    # Our own frames above the handler's are noise to whoever reads the failure.
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    job = lease.job
    _log.warning(
        "job %s of %s failed in attempt %d of %d",
        job.job_id,
        job.queue,
        job.attempt,
        max(job.max_retries, 1),
        exc_info=(type(error), error, frames),
    )
    text = "".join(traceback.format_exception(type(error), error, frames))
    message = str(error)
    name = type(error).__name__
    return Failed(f"{name}: {message}" if message else name, text[-_MOST_BACKTRACE:])
