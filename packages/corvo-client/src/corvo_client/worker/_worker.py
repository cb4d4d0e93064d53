"""Worker: runs functions for the jobs of queues."""

import asyncio
import logging
import multiprocessing
import os
import socket
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Literal, NoReturn, Self

from corvo_client._async.client import AsyncClient
from corvo_client._documents import Codec
from corvo_client._redirect import bound
from corvo_client._retry import RetryPolicy
from corvo_client.worker._api import Override
from corvo_client.worker._http import FetchTerms
from corvo_client.worker._life import Life
from corvo_client.worker._log import log as _log
from corvo_client.worker._log import log_by_default, log_start
from corvo_client.worker._loop import OwnThreads, cancel_tasks, run_to_end
from corvo_client.worker._registry import Registry
from corvo_client.worker._run import Run, RunOptions
from corvo_client.worker._server import Server
from corvo_client.worker._signals import stopping_on_signals

# Maximum duration of a heartbeat request: a broken connection must delay one heartbeat only.
_MAX_HEARTBEAT_SECONDS = 10.0
_MAX_LEFT_SECONDS = 1.0


class Worker(Registry):
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
        # A host name does not identify a worker: containers share it, and it survives restarts.
        self.id = f"worker_{uuid.uuid4().hex}"
        self._terms = FetchTerms(
            self.id,
            socket.gethostname() if hostname is None else hostname,
            poll_timeout,
            lease_duration,
        )
        self._options = RunOptions(
            concurrency, grace_period, (os.cpu_count() or 1) if processes is None else processes
        )
        self.concurrency = concurrency
        self.lifespan = lifespan or _no_lifespan
        self._server = Server(server, api_key, retry, codec)
        super().__init__(self._server, queues)
        self._publishes = publish
        self._life: Life | None = None
        self._background: asyncio.Task[None] | None = None

    @property
    def server(self) -> str | None:
        """URL that the code or `configure` gives; None if CORVO_SERVER or the default applies."""
        return self._server.given_url

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
        self._refuse_while_alive()
        if concurrency is not None:
            self._options = replace(self._options, concurrency=concurrency)
            self.concurrency = concurrency
        if queues is not None:
            self._queues = queues
        if server is not None or api_key is not None:
            self._server.apply_override(Override(server, api_key, source))

    def run(self, *, log_level: int | str = "INFO") -> None:
        """Run until SIGTERM or SIGINT, then shut down in order. A second signal exits at once.

        If the program has not configured logging, the log from `log_level` on goes to stderr.
        If a handler does not end after its interruption, this method exits the process instead of
        returning. The job of that handler is released before that.
        """
        log_by_default(log_level)
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            threads = OwnThreads(loop)
            code = 1
            try:
                run_to_end(loop, self._run_with_signals())
                code = 0
            finally:
                left = [
                    (self.running, "handlers"),
                    (cancel_tasks(loop, _MAX_LEFT_SECONDS), "asyncio tasks of handlers"),
                    (threads.busy(_MAX_LEFT_SECONDS), "threads of asyncio.to_thread"),
                ]
                if any(number for number, _ in left):
                    _exit_with(left, code)

    async def run_async(self) -> None:
        """Run until `stop` is called, then shut down in order. It installs no signal handlers.

        A cancellation works like `stop` without a grace period. Raises RuntimeError if the worker
        is already running, and ValueError if one of `queues` has no task or there are no tasks.
        """
        await self._begin().live()

    def stop(self) -> None:
        """Start the shutdown without waiting. Any thread may call this; no effect before a run."""
        if self._life is not None:
            self._life.run.stop()

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
        self._background = await self._begin().in_background()
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
        life = self._begin()
        with stopping_on_signals(life.run.stop):
            await life.live()

    def _begin(self) -> Life:
        self._refuse_while_alive()
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            raise RuntimeError(
                "a process for handlers imports the main module, and that starts the worker again; "
                'start it below `if __name__ == "__main__":`, or with `corvo worker`'
            )
        tasks = self._served_tasks()
        api = self._server.api(self._terms)
        with bound():
            heartbeat_sender = self._server.heartbeat_sender(
                min(_MAX_HEARTBEAT_SECONDS, self._terms.lease_duration / 3)
            )
            run = Run(
                tasks=tasks,
                api=api,
                heartbeat_sender=heartbeat_sender,
                worker_id=self.id,
                options=self._options,
                surroundings=self._surroundings,
            )
        log_start(self.id, self._server.url, list(tasks), self.concurrency)
        self._life = Life(
            run,
            self._server,
            lifespan=partial(self.lifespan, self),
            surroundings=self._surroundings,
            published=list(tasks.values()) if self._publishes else [],
        )
        return self._life

    def _refuse_while_alive(self) -> None:
        if self._is_alive:
            raise RuntimeError("this worker is already running")

    @property
    def _is_alive(self) -> bool:
        return self._life is not None and self._life.is_alive

    @property
    def running(self) -> int:
        """Number of running handlers."""
        return 0 if self._life is None else self._life.run.running

    @property
    def seconds_since_poll(self) -> float | None:
        """Seconds since the last answer to a fetch; None before the first answer."""
        last = None if self._life is None else self._life.run.last_poll
        return None if last is None else time.monotonic() - last

    def is_live(self, within: float = 90.0) -> bool:
        """Return whether the worker is healthy, for a liveness probe.

        The result is True if the worker runs and a fetch was answered within `within` seconds, or
        all slots are taken.
        """
        age = self.seconds_since_poll
        has_answer = age is not None and age <= within
        return self._is_alive and (has_answer or self.running >= self.concurrency)


def _no_lifespan(_worker: Worker) -> AbstractAsyncContextManager[None]:
    return nullcontext()


def _exit_with(left: Sequence[tuple[int, str]], code: int) -> NoReturn:
    """End the process, which something would keep alive."""
    what = ", ".join(f"{number} {name}" for number, name in left if number)
    _log.warning("exiting although %s are still running", what, exc_info=code != 0)
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)
