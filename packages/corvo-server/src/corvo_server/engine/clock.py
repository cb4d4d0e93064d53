"""The server's one clock."""

import time
from collections.abc import Callable
from typing import TypeAlias

Clock: TypeAlias = Callable[[], int]
"""Tells the time in milliseconds since the epoch. Injected everywhere, so that tests move it."""

Steady: TypeAlias = Callable[[], float]
"""Counts seconds from some moment on, evenly, whatever the wall clock is set to."""

_BOOT_TIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def system_clock() -> int:
    """The time of the machine."""
    return time.time_ns() // 1_000_000


def steady_clock() -> float:
    """Seconds that pass evenly; on Linux, also while the machine sleeps."""
    return time.monotonic() if _BOOT_TIME is None else time.clock_gettime(_BOOT_TIME)


class SharedClock:
    """The clock of a database, as well as one can know it from here.

    It is asked now and then, and counted on by a steady clock in between: so nodes agree on the
    time, to within the time it takes to ask, whatever the clocks of their machines show.
    """

    def __init__(self, steady: Steady = steady_clock) -> None:
        self._steady = steady
        self._offset = system_clock() - steady() * 1000
        self._is_set = False

    def __call__(self) -> int:
        """The time."""
        return int(self._steady() * 1000 + self._offset)

    def set(self, now: int, asked: float, answered: float) -> None:
        """Between these two moments (of the steady clock) the database's clock showed `now`.

        Moves no further than it must, so that the clock does not tremble with the answers' times.
        """
        earliest, latest = now - answered * 1000, now + 1 - asked * 1000
        if self._is_set:
            self._offset = min(max(self._offset, earliest), latest)
        else:
            self._offset = (earliest + latest) / 2
            self._is_set = True
