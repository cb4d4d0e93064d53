"""Start and end of a worker's run, and an event loop that outlives errors of handlers."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import TypeVar

_log = logging.getLogger("corvo.worker")

T = TypeVar("T")


class Life:
    """The end of one run of a worker, to wait for. Create and use it in the worker's event loop."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self._has_started = asyncio.Event()
        self._has_ended = asyncio.Event()

    def start(self) -> None:
        """Note that the lifespan of the worker was entered."""
        self._has_started.set()

    def end(self) -> None:
        """Note the end of the run. `error` says why, if it was an error."""
        self._has_started.set()
        self._has_ended.set()

    async def in_background(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Run `work` in a task, and return the task after the start. Raise an error before that.

        A later error is logged at once, because nobody may wait for it.
        """
        task = asyncio.create_task(work)
        try:
            await self._has_started.wait()
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait([task])
            raise
        if self._has_ended.is_set():
            await task
        task.add_done_callback(_log_error)
        return task

    async def ended(self) -> None:
        """Wait for the end. Raise the error that ended the run, if there is one."""
        await self._has_ended.wait()
        if self.error is not None:
            raise self.error


def _log_error(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("the worker ended with an error and runs no more jobs", exc_info=error)


def run_to_end(loop: asyncio.AbstractEventLoop, work: Coroutine[object, object, T]) -> T:
    """Run the loop until `work` is done, and return its result.

    An asyncio task that raises SystemExit or KeyboardInterrupt stops its loop. A handler may create
    such tasks, for example in a TaskGroup. The handler then gets the error as well, so its attempt
    fails, and the loop goes on. A real Ctrl-C is a signal, which the worker handles.
    """
    main = loop.create_task(work)
    main.add_done_callback(lambda _main: loop.stop())
    while not main.done():
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt):
            if not main.done():
                _log.exception("a task or callback in the worker's event loop raised, going on")
    return main.result()
