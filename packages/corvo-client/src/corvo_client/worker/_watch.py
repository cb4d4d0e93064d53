"""Detection of a blocked event loop."""

import asyncio
import contextlib
import sys
import threading
import traceback

from corvo_client.worker._log import log as _log


class LoopWatch:
    """Logs a warning with a stack trace when an event loop is blocked for `limit` seconds.

    Create it in the thread of the loop, and call `check` in another thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: float = 2.0) -> None:
        self._loop = loop
        self._thread_id = threading.get_ident()
        self._limit = limit
        self._asked_at: float | None = None
        self._has_warned = False

    def check(self, now: float) -> None:
        """Check the loop. `now` is in seconds of any monotonic clock."""
        asked_at = self._asked_at
        if asked_at is None:
            self._asked_at = now
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._answer)
        elif now - asked_at >= self._limit and not self._has_warned:
            self._has_warned = True
            _log.warning(
                "a handler has blocked the event loop for %.1f s. Leases are still extended, but "
                "other async handlers wait. Use await, or a plain function. Stack:\n%s",
                now - asked_at,
                self._stack(),
            )

    def _answer(self) -> None:
        self._has_warned = False
        self._asked_at = None

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._thread_id)  # noqa: SLF001 - there is no public API
        return "".join(traceback.format_stack(frame)) if frame is not None else "(thread has ended)"
