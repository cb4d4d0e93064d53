"""Notices that the event loop does not come round any more."""

import asyncio
import contextlib
import logging
import sys
import threading
import traceback

_log = logging.getLogger("corvo.worker")


class LoopWatch:
    """Warns when a loop takes longer than `limit` seconds for one round, and shows where it is.

    Make it in the loop's thread; call `check` from another.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: float = 2.0) -> None:
        self._loop = loop
        self._thread_id = threading.get_ident()
        self._limit = limit
        self._asked_at: float | None = None
        self._has_warned = False

    def check(self, now: float) -> None:
        """Look at the loop; `now` is in seconds, on any clock."""
        asked_at = self._asked_at
        if asked_at is None:
            self._asked_at = now
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._answer)
        elif now - asked_at >= self._limit and not self._has_warned:
            self._has_warned = True
            _log.warning(
                "the event loop has been blocked for %.1f s; a handler does blocking work where "
                "it should await, or be a plain function. Leases are kept. It is here:\n%s",
                now - asked_at,
                self._whereabouts(),
            )

    def _answer(self) -> None:
        self._has_warned = False
        self._asked_at = None

    def _whereabouts(self) -> str:
        frame = sys._current_frames().get(self._thread_id)  # noqa: SLF001 - there is no other way
        return "".join(traceback.format_stack(frame)) if frame is not None else "(thread gone)"
