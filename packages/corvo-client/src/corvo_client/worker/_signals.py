"""SIGTERM and SIGINT: the first signal starts the shutdown, the second exits at once."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from corvo_client.worker._log import log as _log

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

Handler = Callable[[int, FrameType | None], object]


def set_own(handler: Handler) -> dict[int, Any]:
    """Handle SIGTERM and SIGINT of this process. Return the handlers before.

    Processes that a handler of jobs forks get the handlers before: `multiprocessing.Pool` ends its
    processes with SIGTERM, and waits for them.
    """
    before: dict[int, Any] = {number: signal.signal(number, handler) for number in _SIGNALS}
    _own.update({number: (handler, old) for number, old in before.items()})
    return before


_own: dict[int, tuple[Handler, Any]] = {}
"""Our handlers by signal, and the handlers before them."""
_masks = threading.local()


def _block() -> None:
    # A signal that arrives during the fork would be lost.
    _masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, _own.keys())


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _masks.before)


def _disown() -> None:
    ours = {n: before for n, (handler, before) in _own.items() if signal.getsignal(n) is handler}
    _own.clear()
    # What has arrived ends the process. Python ignores errors here, so a handler must not raise.
    for number in ours:
        signal.signal(number, signal.SIG_DFL)
    _unblock()
    for number, before in ours.items():
        signal.signal(number, before)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_block, after_in_parent=_unblock, after_in_child=_disown)


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

    before = set_own(handle)
    try:
        yield
    finally:
        _own.clear()
        for number, handler in before.items():
            signal.signal(number, handler)
