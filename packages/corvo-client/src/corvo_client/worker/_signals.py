"""SIGTERM and SIGINT: the first asks for an orderly end, the second makes it at once."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_log = logging.getLogger("corvo.worker")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopping_on_signals(
    stop: Callable[[], None], exit_now: Callable[[int], object] = os._exit
) -> Iterator[None]:
    """Call `stop` at the first signal and `exit_now(128 + signal)` at the second.

    Python's own handlers are used and not the event loop's: a loop that is blocked by a handler
    would never hear of the second signal. Outside of the main thread, where Python allows no
    handlers, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    has_asked = False

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal has_asked
        if not has_asked:
            has_asked = True
            stop()
            return
        try:
            _log.warning("second signal: exiting at once, leases run out by themselves")
        finally:
            exit_now(128 + number)

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
