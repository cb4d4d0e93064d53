"""Worker: runs functions for the jobs of queues."""

import asyncio
import logging
import os
import socket
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import replace
from types import MappingProxyType, TracebackType
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, Self, TypeVar, Unpack, overload

from pydantic import TypeAdapter, ValidationError

from corvo_client._async.client import AsyncClient
from corvo_client._documents import Codec
from corvo_client._options import DefaultOptions
from corvo_client._redirect import bound
from corvo_client._retry import RetryPolicy
from corvo_client.worker._api import Redirection
from corvo_client.worker._context import Context
from corvo_client.worker._http import FetchTerms
from corvo_client.worker._life import Life, run_to_end
from corvo_client.worker._log import log_by_default, log_start
from corvo_client.worker._middleware import Middleware, Surroundings
from corvo_client.worker._publish import publish_defaults
from corvo_client.worker._run import Run, RunOptions
from corvo_client.worker._runner import AnyTask
from corvo_client.worker._server import Server
from corvo_client.worker._signals import stopping_on_signals
from corvo_client.worker._task import Executor, Task, check_defaults
from corvo_schema.fields import QueueName

_log = logging.getLogger("corvo.worker")

_queue_name = TypeAdapter(QueueName)

# Maximum duration of a heartbeat request: a broken connection must delay one heartbeat only.
_MAX_HEARTBEAT_SECONDS = 10.0
_MAX_POLL_TIMEOUT = 60.0
_MAX_LEASE_DURATION = 86_400.0

P = ParamSpec("P")
R = TypeVar("R")


class _Decorator(Protocol):
    """Turns functions into tasks. A first parameter of type `Context` is not enqueued."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[Context, P], R], /
    ) -> Task[Concatenate[Context, P], P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, P, R]: ...


class Worker:
    """Runs functions for the jobs of queues, up to `concurrency` at a time.

    All times are in seconds. `server` is a URL or an `AsyncClient`, for the worker and its tasks.
    Its default is CORVO_SERVER, then `http://localhost:8080`. `queues` limits this process to
    some of the queues that have a task.
    `lease_duration`: if this process dies, other workers get its jobs after that time. Heartbeats
    extend the leases of running jobs. `retry` defines how enqueues of tasks are retried; the
    worker itself tries for as long as it runs. A shutdown interrupts handlers after `grace_period`.
    `processes` limits the handlers with `executor="process"` (default: the number of CPUs).
    `lifespan(worker)` is a context manager that is entered before the first fetch and left after
    the last report; its value is `Context.state`. With `publish`, the worker replaces the defaults
    of its queues by the options and payload schemas of its tasks when it starts. `codec` is that of
    `AsyncClient`, for the worker and its tasks. Raises ValueError for invalid arguments.
    """

    def __init__(
        self,
        server: AsyncClient | str | None = None,
        *,
        api_key: str | None = None,
        retry: RetryPolicy | None = None,
        queues: Sequence[str] | None = None,
        concurrency: int = 10,
        lease_duration: float = 60.0,
        grace_period: float = 25.0,
        poll_timeout: float = 30.0,
        hostname: str | None = None,
        processes: int | None = None,
        lifespan: Callable[["Worker"], AbstractAsyncContextManager[Any]] | None = None,
        publish: bool = True,
        codec: Codec | Literal[False] | None = None,
    ) -> None:
        if not 0 < poll_timeout <= _MAX_POLL_TIMEOUT:
            raise ValueError(f"poll_timeout must be above 0 and at most 60 s, not {poll_timeout}")
        if not 1 <= lease_duration <= _MAX_LEASE_DURATION:
            raise ValueError(f"lease_duration must be from 1 to 86400 s, not {lease_duration}")
        # A host name does not identify a worker: containers share it, and it survives restarts.
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
        self._server = Server(server, api_key, retry, codec)
        self._publishes = publish
        self._tasks: dict[str, AnyTask] = {}
        self._run: Run | None = None
        self._is_alive = False
        self._life: Life | None = None
        self._background: asyncio.Task[None] | None = None

    @property
    def server(self) -> str | None:
        """URL that the code or `configure` gives; None if CORVO_SERVER or the default applies."""
        return self._server.given_url

    @property
    def tasks(self) -> MappingProxyType[str, AnyTask]:
        """Tasks by queue."""
        return MappingProxyType(self._tasks)

    @property
    def middleware(self) -> tuple[Middleware, ...]:
        """Middleware of all attempts, outermost first."""
        return tuple(self._surroundings.middleware)

    def task(
        self,
        queue: str,
        *,
        executor: Executor | None = None,
        **defaults: Unpack[DefaultOptions],
    ) -> _Decorator:
        """Run the decorated function, `def` or `async def`, for the jobs of `queue`.

        An `async def` runs in the event loop (`executor="async"`). A `def` runs in a thread
        (`"thread"`), or in a separate process (`"process"`) for CPU-bound work. That process is
        killed when its job is cancelled or lost. It imports the function by name, so the function
        must be at module level. It can report progress and checkpoints, but has no `Context.state`.

        `defaults` apply to all jobs of the task's `enqueue`. Raises ValueError if the queue has a
        task already or an option has an invalid value, TypeError if the function cannot take a
        payload or cannot run there, or an option is unknown.
        """
        _check_queue(queue)
        check_defaults(defaults)

        def decorate(function: Callable[..., Any]) -> Any:
            if isinstance(function, Task):  # one function for several queues
                function = function.function
            if queue in self._tasks:
                raise ValueError(f"queue {queue!r} has a task already: {self._tasks[queue]!r}")
            task: AnyTask = Task(function, queue, self._server, defaults, executor)
            self._tasks[queue] = task
            return task

        return decorate

    def use(self, middleware: Middleware) -> Middleware:
        """Run `async def middleware(context, call_next)` around each attempt.

        Middleware that is added first is outermost. It runs in the event loop, for handlers of any
        kind. Its result or error becomes the outcome of the attempt; `return await call_next()`
        changes nothing. Returns `middleware`, so that `use` works as a decorator.
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
        source: str = "Worker.configure",
    ) -> None:
        """Override arguments of the constructor before the start. None changes nothing.

        `server` and `api_key` are replaced together, for the worker and its tasks. `source` says
        where they are from, for messages. Raises RuntimeError if the worker is running, ValueError
        for a `concurrency` below 1.
        """
        if self._is_alive:
            raise RuntimeError("this worker is already running")
        if concurrency is not None:
            self._options = replace(self._options, concurrency=_checked(concurrency))
            self.concurrency = concurrency
        if queues is not None:
            self._queues = queues
        if server is not None or api_key is not None:
            self._server.redirect(Redirection(server, api_key, source))

    def run(self, *, log_level: int | str = "INFO") -> None:
        """Run until SIGTERM or SIGINT, then shut down in order. A second signal exits at once.

        If the program has not configured logging, the log from `log_level` on goes to stderr.
        If a handler does not end after its interruption, this method exits the process instead of
        returning. The job of that handler is released before that.
        """
        log_by_default(log_level)
        with asyncio.Runner() as runner:
            run_to_end(runner.get_loop(), self._run_with_signals())
            if self.running:
                _log.warning("exiting although %d handlers are still running", self.running)
                logging.shutdown()
                sys.stdout.flush()
                os._exit(0)

    async def run_async(self) -> None:
        """Run until `stop` is called, then shut down in order. It installs no signal handlers.

        A cancellation works like `stop` without a grace period. Raises RuntimeError if the worker
        is already running, and ValueError if one of `queues` has no task or there are no tasks.
        """
        await self._live(*self._begin())

    def stop(self) -> None:
        """Start the shutdown without waiting. Any thread may call this; no effect before a run."""
        if self._run is not None:
            self._run.stop()

    async def wait(self) -> None:
        """Wait until the worker has ended, and raise the error that ended it, if there is one.

        Raises RuntimeError if the worker was never started.
        """
        if self._life is None:
            raise RuntimeError("this worker was not started; use `async with worker:` or run_async")
        await self._life.ended()

    async def __aenter__(self) -> Self:
        """Start the worker in the background of the event loop.

        Waits until the lifespan is entered, and raises its error. If the worker ends with an error
        later, the error is logged at once; `wait` raises it, and so does the end of the block.
        """
        run, life = self._begin()
        self._background = await life.in_background(self._live(run, life))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Shut down in order and wait until that is complete.

        Raises the error that ended the worker, unless the block has raised another one.
        """
        self.stop()
        try:
            if self._background is not None:
                await self._background
        except Exception:
            if error is None:
                raise

    async def _run_with_signals(self) -> None:
        run, life = self._begin()
        with stopping_on_signals(run.stop):
            await self._live(run, life)

    def _begin(self) -> tuple[Run, Life]:
        if self._is_alive:
            raise RuntimeError("this worker is already running")
        queues = self._served_queues()
        terms = FetchTerms(self.id, self._hostname, self._poll_timeout, self._lease_duration)
        api = self._server.api(terms)
        with bound():
            heartbeat_sender = self._server.heartbeat_sender(
                min(_MAX_HEARTBEAT_SECONDS, self._lease_duration / 3)
            )
            self._run = Run(
                tasks={queue: self._tasks[queue] for queue in queues},
                api=api,
                heartbeat_sender=heartbeat_sender,
                worker_id=self.id,
                options=self._options,
                surroundings=self._surroundings,
            )
        self._is_alive = True
        log_start(self.id, self._server.url, queues, self.concurrency)
        self._life = Life()
        return self._run, self._life

    async def _live(self, run: Run, life: Life) -> None:
        try:
            with bound():
                async with self.lifespan(self) as self._surroundings.state, self._publishing():
                    life.start()
                    await run.run()
        except Exception as error:
            life.error = error
            raise
        finally:
            self._surroundings.state = None
            self._is_alive = False
            try:
                await self._server.close()
            finally:
                life.end()

    @asynccontextmanager
    async def _publishing(self) -> AsyncIterator[None]:
        """Publish the options of the tasks meanwhile, if that is wanted."""
        tasks = [self._tasks[queue] for queue in self._served_queues() if self._publishes]
        publishing = asyncio.create_task(publish_defaults(self._server, tasks))
        try:
            yield
        finally:
            publishing.cancel()
            await asyncio.wait([publishing])

    @property
    def running(self) -> int:
        """Number of running handlers."""
        return 0 if self._run is None else self._run.running

    @property
    def seconds_since_poll(self) -> float | None:
        """Seconds since the last answer to a fetch; None before the first answer."""
        last = None if self._run is None else self._run.last_poll
        return None if last is None else time.monotonic() - last

    def is_live(self, within: float = 90.0) -> bool:
        """Return whether the worker is healthy, for a liveness probe.

        The result is True if the worker runs and a fetch was answered within `within` seconds, or
        all slots are taken.
        """
        age = self.seconds_since_poll
        has_answer = age is not None and age <= within
        return self._is_alive and (has_answer or self.running >= self.concurrency)

    def _served_queues(self) -> list[str]:
        queues = list(self._tasks) if self._queues is None else list(self._queues)
        unknown = [queue for queue in queues if queue not in self._tasks]
        if unknown or not queues:
            raise ValueError(
                f"there is no task for {', '.join(unknown) or 'any queue'}; "
                "decorate a function with @worker.task(queue)"
            )
        return queues


def _no_lifespan(_worker: Worker) -> AbstractAsyncContextManager[None]:
    return nullcontext()


def _check_queue(queue: object) -> None:
    if not isinstance(queue, str):
        raise TypeError(
            f'a task needs the name of its queue, not {queue!r}; write @worker.task("queue")'
        )
    try:
        _queue_name.validate_python(queue)
    except ValidationError as error:
        message = error.errors(include_url=False, include_context=False)[0]["msg"]
        reason = message.removeprefix("Value error, ")
        raise ValueError(f"{queue!r} is not the name of a queue: {reason}") from None


def _checked(number: int, name: str = "concurrency") -> int:
    if number < 1:
        raise ValueError(f"{name} must be at least 1, not {number}")
    return number
