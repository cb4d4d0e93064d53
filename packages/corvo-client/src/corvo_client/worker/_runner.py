"""Runs one job: payload to arguments, call, and what came of it to an outcome."""

import asyncio
import contextvars
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from corvo_client.worker._context import Context, enter
from corvo_client.worker._leases import Lease
from corvo_client.worker._middleware import Surroundings
from corvo_client.worker._outcomes import Outcome
from corvo_client.worker._task import Task
from corvo_client.worker._threads import Threads
from corvo_client.worker._verdict import outcome_of_error, outcome_of_result

if TYPE_CHECKING:
    from corvo_client.worker._processes import Processes

AnyTask = Task[..., ..., Any]
Delivery = Callable[[], None]


class Runner:
    """Starts jobs and hands each outcome to `on_done`, in the event loop.

    None instead of an outcome says that there is nothing to report: the lease was lost. Async
    handlers run in an asyncio task each, plain ones in a thread, or in a process that a thread
    watches.
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
        self._on_done = on_done
        self._surroundings = Surroundings() if surroundings is None else surroundings
        self._most_processes = processes
        self._processes: Processes | None = None
        self._threads: Threads[Delivery] = Threads(concurrency, loop, lambda deliver: deliver())

    def start(self, task: AnyTask, lease: Lease) -> None:
        """Run a job of `task`."""
        if task.executor == "process" and self._processes is None:
            self._processes = _processes(self._most_processes)
        if task.executor == "async" or self._surroundings.middleware:
            # Until its first step the loop holds the asyncio task, from then on the lease does.
            self._loop.create_task(self._run_in_loop(task, lease))
        else:
            self._threads.submit(partial(self._run_in_thread, task, lease))

    def close(self) -> None:
        """Let idle threads and processes end; kill busy processes.

        Busy threads end with what they are doing.
        """
        self._threads.close()
        if self._processes is not None:
            self._processes.close()

    async def _run_in_loop(self, task: AnyTask, lease: Lease) -> None:
        # Set here and not by `start`: a task that is cancelled before its first step never runs,
        # and its job would never have an outcome.
        lease.task = asyncio.current_task(self._loop)
        context = Context(lease, self._surroundings.state)
        enter(context)
        try:
            context.raise_if_cancelled()
            if self._surroundings.middleware:
                call = partial(self._call_handler, task, lease, context)
                result = await self._surroundings.call(context, call)
            else:
                result = await task.bound(lease.job.payload, context)()
            outcome = outcome_of_result(result, lease)
        except (Exception, asyncio.CancelledError, SystemExit) as error:  # noqa: BLE001 - whatever
            outcome = outcome_of_error(error, lease)
        # The asyncio task leads back to the lease by its context variables: a ring like that is
        # left to the garbage collector, which then takes as long as the jobs themselves.
        lease.task = None
        self._on_done(lease, outcome)

    async def _call_handler(self, task: AnyTask, lease: Lease, context: Context) -> Any:
        """Call a handler from within middleware."""
        if task.executor == "async":
            return await task.bound(lease.job.payload, context)()
        future: asyncio.Future[Any] = self._loop.create_future()
        call = partial(self._call_plain, task, lease, context)
        # What middleware has put into context variables goes along.
        inside = contextvars.copy_context()
        # A thread cannot be interrupted, so whoever waits for it is not: it has to look itself.
        waiting, lease.task = lease.task, None
        self._threads.submit(partial(_settled, future, partial(inside.run, call)))
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
            result = inside.run(self._call_plain, task, lease, context)
            outcome = outcome_of_result(result, lease)
        except BaseException as error:  # noqa: BLE001 - whatever a handler raises is its outcome
            outcome = outcome_of_error(error, lease)
        return partial(self._on_done, lease, outcome)

    def _call_plain(self, task: AnyTask, lease: Lease, context: Context) -> Any:
        if task.executor == "process" and self._processes is not None:
            return self._processes.run(task, lease)
        return task.bound(lease.job.payload, context)()


def _processes(most: int) -> "Processes":
    from corvo_client.worker._processes import Processes  # noqa: PLC0415 - few workers need them

    return Processes(most)


def _settled(future: asyncio.Future[Any], call: Callable[[], Any]) -> Delivery:
    """Call in a thread; return what settles the future in the loop."""
    try:
        return partial(_settle, future, call(), None)
    except BaseException as error:  # noqa: BLE001 - for whoever awaits the future
        return partial(_settle, future, None, error)


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():  # the loop is being closed
        return
    if error is None:
        future.set_result(result)
    elif not isinstance(error, Exception | asyncio.CancelledError | SystemExit) or isinstance(
        error, StopIteration
    ):
        # What stops a loop, and what a future refuses.
        future.set_exception(RuntimeError(f"the handler raised {error!r}"))
    else:
        future.set_exception(error)
