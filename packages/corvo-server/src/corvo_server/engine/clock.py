"""The server's time, which passes evenly, and the wall clock, which may jump.

All times in the store are server times, except the occurrences of schedules. A server time is in ms
since the epoch. While the server runs, it advances by elapsed time: a jump of the wall clock does
not change it. `Wall` converts between server times and the times that people read and write.
"""

import logging
import time
from collections.abc import Callable
from typing import TypeAlias

from msgspec.structs import replace

from corvo_server.store.nodes import HeartbeatResult, Reading, steady_clock

log = logging.getLogger(__name__)

Clock: TypeAlias = Callable[[], int]
"""Returns milliseconds since the epoch. Passed in everywhere, so that tests control the time."""

Steady: TypeAlias = Callable[[], float]
"""Returns seconds from an arbitrary start. Setting the wall clock does not affect it."""

_JUMP = 1_000
"""Difference in ms between the wall clock and elapsed time from which on it is a jump."""
_SLEW = 5.0
"""Maximum correction of the server's time in ms per second, to follow small differences."""
_PRECISION = 5.0
"""Difference in ms that is not corrected."""
_DRIFT = 0.5
"""Maximum drift between two clocks, in ms per second. NTP adjusts a clock's speed by no more."""
_UNSET = 5_000
"""Assumed error of the shared clock before its first reading, in milliseconds."""
_PATIENCE = 3
"""Heartbeats for which a node waits for the leader to note a jump of the shared clock."""


def system_clock() -> int:
    """Return this machine's time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Wall:
    """The wall clock: the server's time plus an offset, the sum of the jumps of the wall clock."""

    def __init__(self, clock: Clock, observe: Callable[[], None] = lambda: None) -> None:
        """`observe` looks whether the wall clock has jumped. It is called before each reading."""
        self._clock = clock
        self._observe = observe
        self._listeners: list[Callable[[], None]] = []
        self.offset = 0
        """Wall-clock time minus server time in ms."""
        self.jumps = 0
        """Number of jumps since the start of the process."""

    def __call__(self) -> int:
        """Return the wall-clock time in milliseconds since the epoch."""
        self._observe()
        return self._clock() + self.offset

    def to_server(self, ms: int) -> int:
        """Return the server time at which the wall clock shows `ms`, unless it jumps again."""
        self._observe()
        return ms - self.offset

    def on_jump(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each change of the offset."""
        self._listeners.append(listener)

    def move(self, offset: int) -> None:
        """Set the offset, as another server or an earlier process found it."""
        if offset != self.offset:
            self.offset = offset
            for listener in self._listeners:
                listener()

    def jump(self, by: int, what: str) -> None:
        """Note that the wall clock jumped by `by` ms. `what` says for the log what happened."""
        self.jumps += 1
        log.warning(
            "%s by %.1f s. Leases, delays, retries, rate limits, unique periods and retention go "
            "on by elapsed time. Schedules and scheduled_at follow the new time. If that is wrong, "
            "correct the clock; the server need not be restarted.",
            what,
            abs(by) / 1000,
        )
        self.move(self.offset + by)


class MachineClock:
    """The time of a server that alone uses its store.

    It begins at the wall-clock time, minus the stored offset. A steady clock advances it. It
    follows small differences to the wall clock by running up to 0.5 % faster or slower.
    """

    def __init__(self, wall: Clock = system_clock, steady: Steady = steady_clock) -> None:
        self._read_wall = wall
        self._steady = steady
        self.wall = Wall(self, self.observe)
        self._line = float(wall()), steady(), 1000.0
        """A server time (ms), the steady time (s) at which it was, and the speed (ms per s).

        One tuple, because another thread reads the clock.
        """

    def __call__(self) -> int:
        """Return the server's time in milliseconds since the epoch."""
        ms, at, speed = self._line
        return int(ms + (self._steady() - at) * speed + 0.001)

    def resume(self, wall_offset: int, newest: int | None) -> None:
        """Go on from the stored offset. `newest` is the newest time in the store, in server time.

        The time does not begin before `newest`. So if the wall clock was set back since the last
        commit, a lease lasts no longer than the lease duration from now on.
        """
        self.wall.move(wall_offset)
        now = self._read_wall() - wall_offset
        if newest is not None and newest - now >= _JUMP:
            self.wall.jump(now - newest, "since the last commit, this machine's clock was set back")
            now = newest
        self._line = float(now), self._steady(), 1000.0

    def observe(self) -> None:
        """Compare the wall clock with the elapsed time, and note a jump."""
        ms, at, speed = self._line
        steady = self._steady()
        now = ms + (steady - at) * speed
        ahead = self._read_wall() - self.wall.offset - now
        slew = max(-_SLEW, min(_SLEW, ahead))
        if abs(ahead) >= _JUMP or abs(ahead) < _PRECISION:
            slew = 0.0
        self._line = now, steady, 1000.0 + slew
        if abs(ahead) >= _JUMP:
            way = "forward" if ahead > 0 else "back"
            self.wall.jump(round(ahead), f"this machine's clock jumped {way}")


class SharedClock:
    """Follows the clock of a database, so that all its nodes agree on the time.

    Readings of the database's clock adjust it; a steady clock advances it in between. It is
    accurate to the duration of a reading. The wall clocks of the nodes do not matter.
    """

    def __init__(self, steady: Steady = steady_clock) -> None:
        self._steady = steady
        self.wall = Wall(self)
        self._offset = system_clock() - steady() * 1000
        self._earliest, self._latest = self._offset - _UNSET, self._offset + _UNSET
        self._seen_at = steady()
        self._is_set = False
        self._doubts = 0

    def __call__(self) -> int:
        """Return the estimated time of the database in milliseconds since the epoch."""
        return int(self._steady() * 1000 + self._offset)

    def lower_bound(self) -> int:
        """Return the earliest time that the database's clock can show now, in ms."""
        now = self._steady()
        drift = _DRIFT * (now - self._seen_at)
        return int(now * 1000 + self._earliest - drift)

    def follow(self, reading: Reading, result: HeartbeatResult) -> None:
        """Adjust the clock by the reading of a heartbeat, or note that the database's clock jumped.

        Nodes must not take a jump for elapsed time, and a node that was suspended must not take
        its gap for a jump. So only the leader notes a jump, and stores the offset. Other nodes wait
        for that, and adjust their time if it does not happen.
        """
        self.wall.move(result.wall_offset)
        shifted = replace(reading, now=reading.now - result.wall_offset)
        jump = self._distance(shifted)
        if not self._is_set:
            self._is_set = True
            self.adjust(shifted)
            self._continue_from(result)
        elif abs(jump) < _JUMP:
            self._doubts = 0
            self.adjust(shifted)
        elif result.is_leader:
            way = "forward" if jump > 0 else "back"
            self.wall.jump(round(jump), f"the clock of the database jumped {way}")
        elif self._doubts < _PATIENCE:
            self._doubts += 1
        else:
            self._doubts = 0
            self.adjust(shifted)

    def adjust(self, reading: Reading) -> None:
        """Adjust the clock by a reading. A slow reading is imprecise and changes little.

        A reading that contradicts the earlier ones replaces them.
        """
        drift = _DRIFT * (reading.answered - self._seen_at)
        earliest, latest = _bounds(reading)
        self._earliest = max(earliest, self._earliest - drift)
        self._latest = min(latest, self._latest + drift)
        if self._earliest > self._latest:
            self._earliest, self._latest = earliest, latest
        self._seen_at = reading.answered
        self._offset = (self._earliest + self._latest) / 2

    def _distance(self, reading: Reading) -> float:
        """Return by how many ms a reading contradicts the earlier ones; 0 if it may be right."""
        drift = _DRIFT * (reading.answered - self._seen_at)
        earliest, latest = _bounds(reading)
        if earliest <= self._latest + drift and latest >= self._earliest - drift:
            return 0.0
        return (earliest + latest) / 2 - self._offset

    def _continue_from(self, result: HeartbeatResult) -> None:
        """Do not begin before the newest time in the store, if no other node leads."""
        behind = 0 if result.newest is None else result.newest - self()
        if behind < _JUMP or not result.is_leader:
            return
        self.wall.jump(-behind, "since the last commit, the clock of the database was set back")
        self._offset += behind
        self._earliest += behind
        self._latest += behind


def _bounds(reading: Reading) -> tuple[float, float]:
    """Return the bounds of the read clock minus the steady clock, in ms."""
    return reading.now - reading.answered * 1000, reading.now + 1 - reading.asked * 1000


def wall_of(clock: Clock) -> Wall:
    """Return the wall clock that belongs to the server's clock; the same time for other clocks."""
    return clock.wall if isinstance(clock, (MachineClock, SharedClock)) else Wall(clock)


def lower_bound_of(clock: Clock) -> Clock:
    """Return a clock that is never ahead of the clock that the nodes share."""
    return clock.lower_bound if isinstance(clock, SharedClock) else clock
