"""The worker: functions that are run for the jobs of queues."""

import asyncio
import logging
import os
import socket
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from types import MappingProxyType, TracebackType
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypeVar, Unpack, overload

from pydantic import TypeAdapter

from corvo_client._async.client import AsyncClient
from corvo_client.worker._context import Context
from corvo_client.worker._http import FetchTerms
from corvo_client.worker._middleware import Middleware, Surroundings
from corvo_client.worker._run import Run, RunOptions
from corvo_client.worker._runner import AnyTask
from corvo_client.worker._server import Server
from corvo_client.worker._signals import stopping_on_signals
from corvo_client.worker._task import Executor, Task, TaskDefaults
from corvo_schema.fields import QueueName

_log = logging.getLogger("corvo.worker")

_queue_name = TypeAdapter(QueueName)

# Of a heartbeat: a line that is dead must not cost more than one beat.
_LONGEST_BEAT = 10.0
_LONGEST_POLL = 60.0
_LONGEST_LEASE = 86_400.0

P = ParamSpec("P")
R = TypeVar("R")


class _Decorator(Protocol):
    """Makes tasks of functions; a `Context` that comes first is no part of what is enqueued."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[Context, P], R], /
    ) -> Task[Concatenate[Context, P], P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, P, R]: ...


class Worker:
    """Runs functions for the jobs of queues, many at a time, until it is told to stop.

    `server` is a URL or an `AsyncClient`; without one, `AsyncClient`'s own defaults hold. Seconds
    everywhere. `queues` are those that this process serves, all that have a task when left out.
    `lease_duration` is how soon a job is handed to somebody else after this process has died; while
    it lives, leases are kept, however long a job takes. After `grace_period` a shutdown interrupts
    the handlers that still run. `processes` is how many handlers with `executor="process"` run at a
    time, one for each CPU when left out. `lifespan` is called with the worker before its first
    fetch; what the context manager yields is `Context.state`, and it is left when all outcomes are
    reported. Raises ValueError for what makes no sense.
    """

    def __init__(
        self,
        server: AsyncClient | str | None = None,
        *,
        api_key: str | None = None,
        queues: Sequence[str] | None = None,
        concurrency: int = 10,
        lease_duration: float = 60.0,
        grace_period: float = 25.0,
        poll_timeout: float = 30.0,
        hostname: str | None = None,
        processes: int | None = None,
        lifespan: Callable[["Worker"], AbstractAsyncContextManager[Any]] | None = None,
    ) -> None:
        if not 0 < poll_timeout <= _LONGEST_POLL:
            raise ValueError(f"poll_timeout must be above 0 and at most 60, not {poll_timeout}")
        if not 1 <= lease_duration <= _LONGEST_LEASE:
            raise ValueError(f"lease_duration must be from 1 to 86400, not {lease_duration}")
        # A host name is no identity: containers share them, and restarts keep them.
        self.id = f"worker_{uuid.uuid4().hex}"
        self.concurrency = _checked(concurrency)
        self._queues = queues
        self._options = RunOptions(
            concurrency,
            grace_period,
            _checked((os.cpu_count() or 1) if processes is None else processes, "processes"),
        )
        self.lifespan = lifespan or _no_lifespan
        self._surroundings = Surroundings()
        self._poll_timeout = poll_timeout
        self._lease_duration = lease_duration
        self._hostname = socket.gethostname() if hostname is None else hostname
        self._server = Server(server, api_key)
        self._tasks: dict[str, AnyTask] = {}
        self._run: Run | None = None
        self._is_alive = False
        self._background: asyncio.Task[None] | None = None

    @property
    def tasks(self) -> MappingProxyType[str, AnyTask]:
        """The tasks by queue."""
        return MappingProxyType(self._tasks)

    @property
    def middleware(self) -> tuple[Middleware, ...]:
        """What runs around each attempt, the outermost first."""
        return tuple(self._surroundings.middleware)

    def task(
        self,
        queue: str,
        *,
        executor: Executor | None = None,
        **defaults: Unpack[TaskDefaults],
    ) -> _Decorator:
        """Run the decorated function, `def` or `async def`, for the jobs of `queue`.

        An `async def` runs in the event loop (`executor="async"`), a `def` in a thread (`"thread"`)
        or, if it keeps a CPU busy, in a process of its own (`"process"`). A process is killed when
        its job is cancelled or lost. It imports the function, which must therefore be at the top of
        a module; it has progress and checkpoints, but not the worker's state.

        `defaults` hold for each job that the function's `enqueue` makes. Raises ValueError when the
        queue has a function already, TypeError when the function cannot take a payload or cannot
        run there.
        """

        def decorate(function: Callable[..., Any]) -> Any:
            _queue_name.validate_python(queue)
            if isinstance(function, Task):  # one function for several queues
                function = function.function
            if queue in self._tasks:
                raise ValueError(f"queue {queue!r} has a task already: {self._tasks[queue]!r}")
            task: AnyTask = Task(function, queue, self._server, defaults, executor)
            self._tasks[queue] = task
            return task

        return decorate

    def use(self, middleware: Middleware) -> Middleware:
        """Run `async def middleware(context, call_next)` around each attempt; the first outermost.

        It runs in the event loop, whatever the handler is, and what it returns or raises is the
        attempt's result: `return await call_next()` changes nothing. Returns what it was given, so
        that it can decorate.
        """
        self._surroundings.middleware.append(middleware)
        return middleware

    def configure(
        self,
        *,
        server: str | None = None,
        api_key: str | None = None,
        queues: Sequence[str] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Let whoever starts the worker decide what its code has not to know; None changes nothing.

        `api_key` belongs to `server`: they are replaced together. Raises RuntimeError while the
        worker runs, ValueError for less than one job at a time.
        """
        if self._is_alive:
            raise RuntimeError("this worker is running already")
        if concurrency is not None:
            self._options = replace(self._options, concurrency=_checked(concurrency))
            self.concurrency = concurrency
        if queues is not None:
            self._queues = queues
        if server is not None or api_key is not None:
            self._server.redirect(server, api_key)

    def run(self) -> None:
        """Work until SIGTERM or SIGINT, then shut down in order; a second signal exits at once.

        Does not return but ends the process when a handler could not be made to end: its job has
        been given back, and nothing else is left to wait for.
        """
        with asyncio.Runner() as runner:
            runner.run(self._run_with_signals())
            if self.running:
                _log.warning("exiting although %d handlers have not ended", self.running)
                logging.shutdown()
                sys.stdout.flush()
                os._exit(0)

    async def run_async(self) -> None:
        """Work until `stop` is called, then shut down in order. Signals are the caller's business.

        Being cancelled is like `stop` without a grace period. Raises RuntimeError when the worker
        runs already, and ValueError when there is no task for one of `queues`, or none at all.
        """
        await self._live(self._begin())

    def stop(self) -> None:
        """Begin the shutdown, from any thread; does not wait. Does nothing before the start."""
        if self._run is not None:
            self._run.stop()

    async def __aenter__(self) -> Self:
        """Work in the background, beside whatever else the event loop does."""
        self._background = asyncio.create_task(self._live(self._begin()))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Shut down in order, and wait for it."""
        self.stop()
        if self._background is not None:
            await self._background

    async def _run_with_signals(self) -> None:
        run = self._begin()
        with stopping_on_signals(run.stop):
            await self._live(run)

    def _begin(self) -> Run:
        if self._is_alive:
            raise RuntimeError("this worker is running already")
        queues = self._served_queues()
        terms = FetchTerms(
            queues, self.id, self._hostname, self._poll_timeout, self._lease_duration
        )
        api = self._server.api(terms)
        heartbeat_sender = self._server.heartbeat_sender(
            min(_LONGEST_BEAT, self._lease_duration / 3)
        )
        self._run = Run(
            tasks=self._tasks,
            api=api,
            heartbeat_sender=heartbeat_sender,
            worker_id=self.id,
            options=self._options,
            surroundings=self._surroundings,
        )
        self._is_alive = True
        _log.info("worker %s serves %s, %d at a time", self.id, ", ".join(queues), self.concurrency)
        return self._run

    async def _live(self, run: Run) -> None:
        try:
            async with self.lifespan(self) as self._surroundings.state:
                await run.run()
        finally:
            self._surroundings.state = None
            self._is_alive = False
            await self._server.close()

    @property
    def running(self) -> int:
        """How many handlers are running."""
        return 0 if self._run is None else self._run.running

    @property
    def seconds_since_poll(self) -> float | None:
        """How long ago the server last answered a fetch; None before the first answer."""
        last = None if self._run is None else self._run.last_poll
        return None if last is None else time.monotonic() - last

    def is_live(self, within: float = 90.0) -> bool:
        """Tell whether the worker does its work: for a liveness probe.

        True when it has polled within so many seconds, or has its hands full and needs no more.
        """
        age = self.seconds_since_poll
        return (age is not None and age <= within) or self.running >= self.concurrency

    def _served_queues(self) -> list[str]:
        queues = list(self._tasks) if self._queues is None else list(self._queues)
        unknown = [queue for queue in queues if queue not in self._tasks]
        if unknown or not queues:
            raise ValueError(f"no task for {', '.join(unknown) or 'any queue'}")
        return queues


def _no_lifespan(_worker: Worker) -> AbstractAsyncContextManager[None]:
    return nullcontext()


def _checked(number: int, name: str = "concurrency") -> int:
    if number < 1:
        raise ValueError(f"{name} must be at least 1, not {number}")
    return number
