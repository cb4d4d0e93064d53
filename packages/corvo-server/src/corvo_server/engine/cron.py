"""Cron expressions: validate them and compute their occurrences in any IANA time zone.

A clock change is a change of the zone's offset from UTC. Two rules cover it, as in vixie cron:

- Interval: an expression with a wildcard or a step in its minute or hour runs at every minute of
  elapsed time at which the zone's wall clock matches. `0 * * * *` runs once in each real hour, also
  in each of the two hours that the wall clock shows alike. A time that a change skips does not run.
- Fixed times: any other expression runs at the first moment at which the wall clock shows the
  scheduled time or a later one. A time that a change skips runs once, right after the gap; all
  times within one gap run together, once. A time that repeats runs once, the first time.

cronsim computes the matching wall-clock times, without a zone. This module converts them to
moments, because no library follows both rules.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import cache
from heapq import heappop, heappush
from itertools import islice
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

FIELDS = ("minute", "hour", "day", "month", "weekday")

_ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_VALUES = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day": "1 to 31, L for the last day of the month or LW for its last weekday",
    "month": "1 to 12 or JAN to DEC",
    "weekday": "0 to 7 (0 and 7 are Sunday) or SUN to SAT, 5L for the last Friday of the month, "
    "1#2 for its second Monday",
}
_MAX_STEPS = {"minute": 60, "hour": 24, "day": 31, "month": 12, "weekday": 7}
_STEP = re.compile(r"(.*)/([0-9]+)")
_EMPTY_RANGE = re.compile(r"([^-]+)-\1", re.IGNORECASE)
_SOME_DAY = datetime(2000, 1, 1)  # noqa: DTZ001 - wall-clock time
_LONGEST_REPEAT = timedelta(hours=25)
"""Longer than any time that a clock change repeats: at most a day."""
_NO_IANA_ZONES = frozenset({"localtime", "Factory"})
"""Entries of the zone database that depend on the machine."""


class CronError(ValueError):
    """Raised for an expression that is invalid or never fires; `field` is the wrong field."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field


class ZoneError(ValueError):
    """Raised for an unknown time zone."""

    def __init__(self, name: str) -> None:
        close = get_close_matches(name, _zones(), n=1)
        hint = f"did you mean {close[0]}?" if close else "write it like Europe/Berlin or UTC"
        super().__init__(f"{name!r} is not an IANA time zone; {hint}")


def parse(expression: str) -> str:
    """Return the five fields of the expression, with aliases such as @daily expanded.

    Raise `CronError` for an invalid field, or if the expression never fires.
    """
    fields = _split(expression)
    for name, text in zip(FIELDS, fields, strict=True):
        for term in text.split(","):
            _check_term(name, term)
    spelled = " ".join(fields)
    try:
        next(CronSim(spelled, _SOME_DAY))
    except (CronSimError, StopIteration):
        raise CronError(
            f"{expression!r} never fires: no date matches its day, month and weekday"
        ) from None
    return spelled


def check_zone(name: str) -> None:
    """Raise `ZoneError` unless `name` is an IANA time zone."""
    if name not in _zones():
        raise ZoneError(name)


def next_after(expression: str, zone: str, after_ms: int) -> int | None:
    """Return the first occurrence after `after_ms`; both are in ms since the epoch.

    Return None without an occurrence within 50 years. Raise `CronError` or `ZoneError`.
    """
    return next(_occurrences(expression, zone, after_ms), None)


def upcoming(expression: str, zone: str, after_ms: int, n: int) -> list[int]:
    """Return the first `n` occurrences after `after_ms`, in ms since the epoch."""
    return list(islice(_occurrences(expression, zone, after_ms), n))


def is_interval(expression: str) -> bool:
    """Return whether the rule for intervals applies, not the one for fixed times."""
    minute, hour, *_ = _split(expression)
    return any(sign in minute + hour for sign in "*/")


def _split(expression: str) -> list[str]:
    text = expression.strip()
    if text.startswith("@"):
        alias = _ALIASES.get(text.lower())
        if alias is None:
            raise CronError(f"{text!r} is not one of {', '.join(_ALIASES)}")
        text = alias
    fields = text.split()
    if len(fields) != len(FIELDS):
        raise CronError(
            f"{expression!r} must have five fields (minute, hour, day, month, weekday), not "
            f"{len(fields)}; write it like 30 8 * * MON-FRI"
        )
    return fields


def _check_term(name: str, term: str) -> None:
    """Raise `CronError` if one item of a field's list is invalid."""
    step = _STEP.fullmatch(term)
    if step is not None and (
        step[1].upper() in {"L", "LW"}
        or _EMPTY_RANGE.fullmatch(step[1])
        or int(step[2]) > _MAX_STEPS[name]
    ):
        # cronsim accepts such a step, with a meaning that its author does not expect.
        raise CronError(
            f"{term!r} has an invalid step; use at most {_MAX_STEPS[name]}, and none after L, LW "
            "or a range of one value",
            name,
        )
    alone = ["*"] * len(FIELDS)
    alone[FIELDS.index(name)] = term
    try:
        CronSim(" ".join(alone), _SOME_DAY)
    except CronSimError:
        raise CronError(
            f"{term!r} is not valid; write {_VALUES[name]}, a list (1,5), an ascending range (1-5) "
            "or a step (*/2)",
            name,
        ) from None


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones()) - _NO_IANA_ZONES


def _occurrences(expression: str, zone_name: str, after_ms: int) -> Iterator[int]:
    """Yield all occurrences after `after_ms` (ms since the epoch), ascending, each once."""
    check_zone(zone_name)
    zone = ZoneInfo(zone_name)
    fields = " ".join(_split(expression))
    moments = _matching_moments if is_interval(expression) else _first_moments
    try:
        for moment in moments(fields, zone, after_ms // 1000):
            yield moment * 1000
    except CronSimError as error:
        raise CronError(f"{expression!r} is not valid: {error}") from None


def _first_moments(fields: str, zone: ZoneInfo, after: int) -> Iterator[int]:
    """Yield the first moments of matching wall-clock times: the rule for fixed times."""
    # By the rule, every wall-clock time up to the one shown at `after` has already run.
    last = after
    for wall in CronSim(fields, _wall_clock(after, zone)):
        moment = _first_shown(wall, zone)
        if moment > last:
            last = moment
            yield moment


def _matching_moments(fields: str, zone: ZoneInfo, after: int) -> Iterator[int]:
    """Yield all moments at which the wall clock matches: the rule for intervals."""
    # The second showings of wall-clock times that repeat, until all earlier moments are yielded.
    repeats: list[int] = []
    for wall in CronSim(fields, _earliest_wall_clock(after, zone)):
        shown = _moments_of(wall, zone)
        if not shown:
            continue
        while repeats and repeats[0] < shown[0]:
            yield heappop(repeats)
        if shown[0] > after:
            yield shown[0]
        for moment in shown[1:]:
            if moment > after:
                heappush(repeats, moment)
    yield from sorted(repeats)


def _earliest_wall_clock(after: int, zone: ZoneInfo) -> datetime:
    """Return a wall-clock time that is never later than one shown after `after`."""
    now = _wall_clock(after, zone)
    later = _wall_clock(after + int(_LONGEST_REPEAT.total_seconds()), zone) - _LONGEST_REPEAT
    return min(now, later)


def _moments_of(wall: datetime, zone: ZoneInfo) -> list[int]:
    """Return the moments at which the wall clock shows `wall`: two if it repeats, none in a gap."""
    offsets = {wall.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1)}
    moments = sorted(_epoch_seconds(wall, offset) for offset in offsets)
    return [moment for moment in moments if _wall_clock(moment, zone) == wall]


def _wall_clock(seconds: int, zone: ZoneInfo) -> datetime:
    """Return the wall-clock time of the zone at a moment (seconds since the epoch)."""
    return datetime.fromtimestamp(seconds, zone).replace(tzinfo=None)


def _first_shown(wall: datetime, zone: ZoneInfo) -> int:
    """Return the first moment at which the zone's wall clock shows `wall` or later, in seconds."""
    earlier = wall.replace(tzinfo=zone, fold=0)
    moment = _epoch_seconds(wall, earlier.utcoffset())
    if _wall_clock(moment, zone) == wall:
        return moment
    # `wall` is in a gap: the offset after the gap gives a moment before the change, and the offset
    # before the gap gives one after it.
    before_change = _epoch_seconds(wall, wall.replace(tzinfo=zone, fold=1).utcoffset())
    span = range(before_change, moment + 1)
    return span[bisect_left(span, wall, key=lambda second: _wall_clock(second, zone))]


def _epoch_seconds(wall: datetime, offset: timedelta | None) -> int:
    return int((wall.replace(tzinfo=UTC) - (offset or timedelta())).timestamp())
