"""SIGTERM and SIGINT: the first signal starts the shutdown, the second exits at once."""

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

    This uses `signal.signal` instead of the event loop's handlers, because a blocked loop would not
    react to the second signal. Outside of the main thread it does nothing: Python allows signal
    handlers only there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    is_stopping = False

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal is_stopping
        if not is_stopping:
            is_stopping = True
            stop()
            return
        try:
            _log.warning(
                "second signal: exiting at once; other workers get the jobs when their leases end"
            )
        finally:
            exit_now(128 + number)

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
