"""Run jobs: convert the payload, call the handler, and convert its result to an outcome."""

import asyncio
import contextvars
import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from corvo_client._redirect import binder
from corvo_client.worker._awaiting import await_in_loop, awaited, is_to_await
from corvo_client.worker._context import Context, enter
from corvo_client.worker._description import text_of
from corvo_client.worker._forks import end_copies_of, end_copy
from corvo_client.worker._leases import Lease
from corvo_client.worker._middleware import Surroundings
from corvo_client.worker._outcomes import Outcome
from corvo_client.worker._task import Task
from corvo_client.worker._threads import Threads
from corvo_client.worker._to_outcome import collected, outcome_of_error, outcome_of_result

if TYPE_CHECKING:
    from corvo_client.worker._processes import Processes

AnyTask = Task[..., ..., Any]
Delivery = Callable[[], None]


class Runner:
    """Starts jobs, and calls `on_done` in the event loop with the outcome of each.

    The outcome is None if the lease was lost: then there is nothing to report. Async handlers run
    in asyncio tasks, plain handlers in threads, or in processes that a thread waits for.
    """

    def __init__(
        self,
        concurrency: int,
        loop: asyncio.AbstractEventLoop,
        on_done: Callable[[Lease, Outcome | None], None],
        *,
        surroundings: Surroundings | None = None,
        processes: int = 1,
    ) -> None:
        self._loop = loop
        self._process = os.getpid()
        end_copies_of(loop)
        self._on_done = on_done
        self._surroundings = Surroundings() if surroundings is None else surroundings
        self._max_processes = processes
        self._bind = binder()
        self._processes: Processes | None = None
        self._threads: Threads[Delivery] = Threads(concurrency, loop, lambda deliver: deliver())

    def start(self, task: AnyTask, lease: Lease) -> None:
        """Run a job of `task`."""
        if task.executor == "process" and self._processes is None:
            self._processes = _make_processes(self._max_processes)
        if task.executor == "async" or self._surroundings.middleware:
            # The loop references the task until its first step. After that, the lease does.
            self._loop.create_task(self._run_in_loop(task, lease))
        else:
            self._threads.submit(partial(self._run_in_thread, task, lease))

    def close(self) -> None:
        """Stop idle threads and processes. Kill busy processes.

        A busy thread ends after its current job.
        """
        self._threads.close()
        if self._processes is not None:
            self._processes.close()

    async def _run_in_loop(self, task: AnyTask, lease: Lease) -> None:
        # Not set in `start`: a task that is cancelled before its first step never runs, so its job
        # would get no outcome.
        lease.task = asyncio.current_task(self._loop)
        context = Context(lease, self._surroundings.state)
        enter(context)
        self._bind()
        try:
            context.raise_if_cancelled()
            if self._surroundings.middleware:
                call = partial(self._call_handler, task, lease, context)
                result = await awaited(self._surroundings.call(context, call))
            else:
                result = await task.bound(lease.job.payload, context)()
            outcome = outcome_of_result(result, lease)
        except BaseException as error:
            if issubclass(type(error), GeneratorExit) and not self._loop.is_running():
                raise  # the loop has ended before the handler
            outcome = outcome_of_error(error, lease)
        end_copy(self._process, lease.job.job_id)
        # The context variables of the task reference the lease. Without this, each job would leave
        # a reference cycle, and garbage collection would take as long as short jobs.
        lease.task = None
        self._on_done(lease, outcome)

    async def _call_handler(self, task: AnyTask, lease: Lease, context: Context) -> Any:
        """Call a handler inside of middleware."""
        if task.executor == "async":
            return await task.bound(lease.job.payload, context)()
        future: asyncio.Future[Any] = self._loop.create_future()
        call = partial(self._call_in_thread, task, lease, context)
        # The handler sees context variables that middleware has set.
        inside = contextvars.copy_context()
        # A thread cannot be interrupted, so the task that waits for it must not be cancelled.
        waiting, lease.task = lease.task, None
        self._threads.submit(partial(_run_for_future, future, partial(inside.run, call)))
        try:
            return await future
        finally:
            lease.task = waiting

    def _run_in_thread(self, task: AnyTask, lease: Lease) -> Delivery:
        context = Context(lease, self._surroundings.state)
        try:
            context.raise_if_cancelled()
            inside = contextvars.copy_context()
            inside.run(enter, context)
            inside.run(self._bind)
            result = inside.run(self._call_in_thread, task, lease, context)
            outcome = outcome_of_result(result, lease)
        except BaseException as error:  # noqa: BLE001 - any error is the outcome
            outcome = outcome_of_error(error, lease)
        return partial(self._on_done, lease, outcome)

    def _call_in_thread(self, task: AnyTask, lease: Lease, context: Context) -> Any:
        try:
            result = self._call_plain(task, lease, context)
        finally:
            end_copy(self._process, lease.job.job_id)
        # For example the coroutine that a plain wrapper of an async function returns.
        return await_in_loop(result, lease, self._loop) if is_to_await(result) else result

    def _call_plain(self, task: AnyTask, lease: Lease, context: Context) -> Any:
        if task.executor == "process" and self._processes is not None:
            return self._processes.run(task, lease)
        return collected(task.bound(lease.job.payload, context)())


def _make_processes(size: int) -> "Processes":
    from corvo_client.worker._processes import Processes  # noqa: PLC0415 - few workers need them

    return Processes(size)


def _run_for_future(future: asyncio.Future[Any], call: Callable[[], Any]) -> Delivery:
    """Run `call` in this thread. Return a function that sets the future in the loop."""
    try:
        return partial(_settle, future, call(), None)
    except BaseException as error:  # noqa: BLE001 - the future gets it
        return partial(_settle, future, None, error)


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():  # the loop is closing
        return
    if error is None:
        future.set_result(result)
    elif issubclass(type(error), StopIteration):  # a future rejects it
        replacement = RuntimeError(f"the handler raised {text_of(error)}")
        replacement.__cause__ = error
        future.set_exception(replacement)
    else:
        future.set_exception(error)
