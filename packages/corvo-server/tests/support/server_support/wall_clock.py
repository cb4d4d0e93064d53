"""An independent reading of wall clocks: minute by minute, without any reckoning in local time."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

MINUTE = 60
HOUR = 3600
DAY = 86_400

Matches = Callable[[datetime], bool]


class Transition(NamedTuple):
    """A moment (seconds since the epoch) at which a zone's clocks are set, and from which offset.

    Clocks that are set alike at the same moment show the same, whatever their zone is called.
    """

    at: int
    before: timedelta
    after: timedelta

    @property
    def gap(self) -> timedelta:
        """How much time the wall clock skips; negative when it repeats some."""
        return self.after - self.before


def offset(zone: ZoneInfo, moment: int) -> timedelta:
    """How far the clocks of a zone are ahead of UTC."""
    return datetime.fromtimestamp(moment, zone).utcoffset() or timedelta()


def transitions(zone: ZoneInfo, start: int, end: int) -> Iterator[Transition]:
    """When the clocks of a zone are set between two moments. Twice within six hours is missed."""
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
    """A walk through a stretch of time, during which the wall clock is looked at every minute."""

    def __init__(self, zone: ZoneInfo, start: int, end: int) -> None:
        """`start` and `end` are whole minutes."""
        self._steps: list[tuple[int, list[datetime]]] = []
        latest = self._shown(zone, start)
        for moment in range(start + MINUTE, end + 1, MINUTE):
            shown = self._shown(zone, moment)
            passed = []
            while latest < shown:
                latest += timedelta(minutes=1)
                passed.append(latest)
            self._steps.append((moment, passed))

    def runs(self, matches: Matches) -> list[int]:
        """The moments at which a matching wall-clock time, or one after it, was first shown."""
        return [moment for moment, passed in self._steps if any(map(matches, passed))]

    @staticmethod
    def _shown(zone: ZoneInfo, moment: int) -> datetime:
        return datetime.fromtimestamp(moment, zone).replace(tzinfo=None)
