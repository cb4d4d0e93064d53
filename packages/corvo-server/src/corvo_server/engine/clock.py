"""The server's one clock."""

import time
from collections.abc import Callable
from typing import TypeAlias

from corvo_server.store.nodes import Reading, steady_clock

Clock: TypeAlias = Callable[[], int]
"""Tells the time in milliseconds since the epoch. Injected everywhere, so that tests move it."""

Steady: TypeAlias = Callable[[], float]
"""Counts seconds from some moment on, evenly, whatever the wall clock is set to."""

_DRIFT = 0.5
"""Milliseconds in a second by which two clocks may part: the most that NTP makes one faster."""
_UNSET = 5_000
"""Milliseconds by which it may be wrong before the first look."""


def system_clock() -> int:
    """The time of the machine."""
    return time.time_ns() // 1_000_000


class SharedClock:
    """The clock of a database, as well as one can know it from here.

    It is looked at now and then, and counted on by a steady clock in between: so nodes agree on the
    time, to within the time that a look takes, whatever the clocks of their machines show.
    """

    def __init__(self, steady: Steady = steady_clock) -> None:
        self._steady = steady
        self._offset = system_clock() - steady() * 1000
        self._earliest, self._latest = self._offset - _UNSET, self._offset + _UNSET
        self._seen_at = steady()

    def __call__(self) -> int:
        """The time."""
        return int(self._steady() * 1000 + self._offset)

    def surely(self) -> int:
        """A time that has come for certain, by the database's clock."""
        now = self._steady()
        drift = _DRIFT * (now - self._seen_at)
        return int(now * 1000 + self._earliest - drift)

    def look(self, reading: Reading) -> None:
        """Set it by a reading; one that took long tells little, and changes little.

        Where a reading and those before cannot all be right, the clock was set, or is another one.
        """
        drift = _DRIFT * (reading.answered - self._seen_at)
        earliest = reading.now - reading.answered * 1000
        latest = reading.now + 1 - reading.asked * 1000
        self._earliest = max(earliest, self._earliest - drift)
        self._latest = min(latest, self._latest + drift)
        if self._earliest > self._latest:
            self._earliest, self._latest = earliest, latest
        self._seen_at = reading.answered
        self._offset = (self._earliest + self._latest) / 2


def surely(clock: Clock) -> Clock:
    """A clock that shows a moment only when it has come, on the one that nodes share."""
    return clock.surely if isinstance(clock, SharedClock) else clock
