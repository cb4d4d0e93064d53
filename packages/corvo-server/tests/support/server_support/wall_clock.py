"""An independent model of wall clocks, which reads the local time of every minute."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

MINUTE = 60
HOUR = 3600
DAY = 86_400

Matches = Callable[[datetime], bool]


class Transition(NamedTuple):
    """A change of a zone's offset from UTC, at `at` in seconds since the epoch.

    Zones with equal transitions have the same local time, so that one of them is enough to test.
    """

    at: int
    before: timedelta
    after: timedelta

    @property
    def gap(self) -> timedelta:
        """The time that the wall clock skips. Negative if it repeats time."""
        return self.after - self.before


def offset(zone: ZoneInfo, moment: int) -> timedelta:
    """Return the offset of a zone from UTC at `moment` (seconds since the epoch)."""
    return datetime.fromtimestamp(moment, zone).utcoffset() or timedelta()


def transitions(zone: ZoneInfo, start: int, end: int) -> Iterator[Transition]:
    """Yield the transitions of a zone between two times. Two within six hours may be missed."""
    step = 6 * HOUR
    for left in range(start, end, step):
        before, after = offset(zone, left), offset(zone, left + step)
        if before == after:
            continue
        low, high = left, left + step
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(zone, middle) == before else (low, middle)
        yield Transition(high, before, after)


class Walk:
    """The local times that a zone's wall clock shows, minute by minute, in a span of time."""

    def __init__(self, zone: ZoneInfo, start: int, end: int) -> None:
        """`start` and `end` are whole minutes, in seconds since the epoch."""
        self._steps: list[tuple[int, datetime, list[datetime]]] = []
        latest = self._shown(zone, start)
        for moment in range(start + MINUTE, end + 1, MINUTE):
            shown = self._shown(zone, moment)
            passed = []
            while latest < shown:
                latest += timedelta(minutes=1)
                passed.append(latest)
            self._steps.append((moment, shown, passed))

    def runs(self, matches: Matches) -> list[int]:
        """Return the times at which a matching local time, or a later one, was first shown."""
        return [moment for moment, _, passed in self._steps if any(map(matches, passed))]

    def minutes(self, matches: Matches) -> list[int]:
        """Return all times at which a matching local time was shown."""
        return [moment for moment, shown, _ in self._steps if matches(shown)]

    @staticmethod
    def _shown(zone: ZoneInfo, moment: int) -> datetime:
        return datetime.fromtimestamp(moment, zone).replace(tzinfo=None)
