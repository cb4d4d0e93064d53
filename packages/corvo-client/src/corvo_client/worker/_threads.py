"""Thread pool for plain handlers."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class Threads(Generic[T]):
    """A pool of up to `size` threads. `on_done` gets the result of each call, in the loop.

    Unlike the threads of `concurrent.futures`, these are daemons: a handler that never returns must
    not keep the process alive after its job is released. Calls must not raise.
    """

    def __init__(
        self, size: int, loop: asyncio.AbstractEventLoop, on_done: Callable[[T], None]
    ) -> None:
        self._size = size
        self._loop = loop
        self._on_done = on_done
        self._calls: SimpleQueue[Callable[[], T] | None] = SimpleQueue()
        self._done: list[T] = []
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._pending = 0

    def submit(self, call: Callable[[], T]) -> None:
        """Run `call` in a thread. Use this method only in the event loop.

        Raises RuntimeError if there is no thread and none can be started.
        """
        self._pending += 1
        if len(self._threads) < min(self._pending, self._size):
            name = f"corvo-handler-{len(self._threads) + 1}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # too many threads; the call waits for one of ours
                if not self._threads:
                    self._pending -= 1
                    raise
            else:
                self._threads.append(thread)
        self._calls.put(call)

    def close(self) -> None:
        """Stop the threads after their submitted calls, without waiting."""
        for _ in self._threads:
            self._calls.put(None)
        self._threads.clear()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            outcome = call()
            with self._lock:
                self._done.append(outcome)
                is_first = len(self._done) == 1
            # One wake-up delivers all results so far. If the loop is closed, results are dropped.
            if is_first:
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        with self._lock:
            done, self._done = self._done, []
        self._pending -= len(done)
        for outcome in done:
            self._on_done(outcome)
