"""Clocks that return wall-clock time in ms: of this machine, or shared by the nodes of a store."""

import time
from collections.abc import Callable
from typing import TypeAlias

from corvo_server.store.nodes import Reading, steady_clock

Clock: TypeAlias = Callable[[], int]
"""Returns milliseconds since the epoch. Passed in everywhere, so that tests control the time."""

Steady: TypeAlias = Callable[[], float]
"""Returns seconds from an arbitrary start. Setting the wall clock does not affect it."""

_DRIFT = 0.5
"""Maximum drift between two clocks, in ms per second. NTP adjusts a clock's speed by no more."""
_UNSET = 5_000
"""Assumed error of the shared clock before its first reading, in milliseconds."""


def system_clock() -> int:
    """Return this machine's time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class SharedClock:
    """Follows the clock of a database, so that all its nodes agree on the time.

    Readings of the database's clock adjust it; a steady clock advances it in between. It is
    accurate to the duration of a reading. The wall clocks of the nodes do not matter.
    """

    def __init__(self, steady: Steady = steady_clock) -> None:
        self._steady = steady
        self._offset = system_clock() - steady() * 1000
        self._earliest, self._latest = self._offset - _UNSET, self._offset + _UNSET
        self._seen_at = steady()

    def __call__(self) -> int:
        """Return the estimated time of the database in milliseconds since the epoch."""
        return int(self._steady() * 1000 + self._offset)

    def lower_bound(self) -> int:
        """Return the earliest time that the database's clock can show now, in ms."""
        now = self._steady()
        drift = _DRIFT * (now - self._seen_at)
        return int(now * 1000 + self._earliest - drift)

    def adjust(self, reading: Reading) -> None:
        """Adjust the clock by a reading. A slow reading is imprecise and changes little.

        A reading that contradicts the earlier ones replaces them: the database's clock was set,
        or another database server took over.
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


def lower_bound_of(clock: Clock) -> Clock:
    """Return a clock that is never ahead of the clock that the nodes share."""
    return clock.lower_bound if isinstance(clock, SharedClock) else clock
