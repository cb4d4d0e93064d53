"""An event loop that outlives errors of handlers, and what handlers leave behind in it."""

import asyncio
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from corvo_client.worker._log import log as _log

T = TypeVar("T")


def run_to_end(loop: asyncio.AbstractEventLoop, work: Coroutine[object, object, T]) -> T:
    """Run the loop until `work` is done, and return its result.

    A task or a callback that raises SystemExit or KeyboardInterrupt stops its loop, and so does a
    signal handler that raises anything, e.g. a timeout with SIGALRM. Handlers create all of these.
    The attempt of the handler may fail then, and the loop goes on. A real Ctrl-C is a signal, which
    the worker handles.
    """
    main = loop.create_task(work)
    main.add_done_callback(lambda _main: loop.stop())
    while not main.done():
        turns: list[None] = []
        loop.call_soon(turns.append, None)
        try:
            loop.run_forever()
        except BaseException:
            if not main.done():
                if not turns:
                    raise  # the loop is broken: it would fail again at once
                _log.exception("a task or callback in the worker's event loop raised, going on")
    if main.cancelled():
        raise RuntimeError("a handler or the lifespan has cancelled the tasks of its worker")
    return main.result()


class OwnThreads:
    """The threads of `asyncio.to_thread` in one event loop. They may outlive what waits for them.

    Python waits for such threads at its end, so a handler that waits in one would keep the process.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._threads: list[threading.Thread] = []
        self._pool = ThreadPoolExecutor(
            thread_name_prefix="asyncio",
            initializer=lambda: self._threads.append(threading.current_thread()),
        )
        loop.set_default_executor(self._pool)

    def busy(self, timeout: float) -> int:
        """Stop the idle threads. Return how many others are running after `timeout` seconds."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return sum(thread.is_alive() for thread in self._threads)


def cancel_tasks(loop: asyncio.AbstractEventLoop, timeout: float) -> int:
    """Cancel the tasks that handlers have left behind. Return how many run after `timeout`."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if not tasks:
        return 0
    _, running = run_to_end(loop, asyncio.wait(tasks, timeout=timeout))
    return len(running)
