"""Cron expressions and the moments they stand for, in any IANA zone. Pure: no clock.

The one rule for changes of the clock: a wall-clock time runs at the first moment at which the wall
clock shows that time or a later one. So a time that a change skips runs once, right after the gap
(and all times within one gap run together, once), and a time that happens twice runs once, the
first time. The rule is the same for every expression: `*/5 * * * *` rests while an hour repeats
itself. A schedule that is to keep a steady beat belongs into UTC.

The calendar itself (which dates and times match) is cronsim's, on wall-clock times without a zone;
from there to moments is done here, since no library follows the rule for all expressions.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import cache
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
_HOW_MANY = {"minute": 60, "hour": 24, "day": 31, "month": 12, "weekday": 7}
_STEP = re.compile(r"(.*)/([0-9]+)")
_SOME_DAY = datetime(2000, 1, 1)  # noqa: DTZ001 - wall-clock time
_NO_IANA_ZONES = frozenset({"localtime", "Factory"})
"""In the database, but not a place: what they mean depends on the machine."""


class CronError(ValueError):
    """An expression that is none, or that never fires; `field` is the one that is wrong, if one."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field


class ZoneError(ValueError):
    """There is no zone of that name."""

    def __init__(self, name: str) -> None:
        close = get_close_matches(name, _zones(), n=1)
        hint = f"did you mean {close[0]}?" if close else "write it like Europe/Berlin or UTC"
        super().__init__(f"{name!r} is no IANA time zone; {hint}")


def parse(expression: str) -> str:
    """Return the five fields that the expression stands for, aliases such as @daily spelled out.

    Raises `CronError` naming the wrong field, or saying that the expression never fires.
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
            f"{expression!r} never fires: there is no date that its day, month and weekday allow"
        ) from None
    return spelled


def check_zone(name: str) -> None:
    """Raise `ZoneError` unless there is an IANA zone of that name."""
    if name not in _zones():
        raise ZoneError(name)


def next_after(expression: str, zone: str, after_ms: int) -> int | None:
    """Return the first moment after `after_ms` at which the expression fires; ms since the epoch.

    None when there is none within 50 years. Raises `CronError` or `ZoneError`.
    """
    return next(_moments(expression, zone, after_ms), None)


def upcoming(expression: str, zone: str, after_ms: int, n: int) -> list[int]:
    """Return the first `n` moments after `after_ms` at which the expression fires."""
    return list(islice(_moments(expression, zone, after_ms), n))


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
    """Refuse one item of a field's list, judging it by itself."""
    step = _STEP.fullmatch(term)
    if step is not None and (step[1].upper() in {"L", "LW"} or int(step[2]) > _HOW_MANY[name]):
        # Such a step would be taken in silence, and would not mean what its writer thinks.
        raise CronError(
            f"{term!r}: the step does not fit; there are {_HOW_MANY[name]} in all", name
        )
    alone = ["*"] * len(FIELDS)
    alone[FIELDS.index(name)] = term
    try:
        CronSim(" ".join(alone), _SOME_DAY)
    except CronSimError:
        raise CronError(
            f"{term!r} is not valid; it takes {_VALUES[name]}, also as a list (1,5), an ascending "
            "range (1-5) or with a step (*/2)",
            name,
        ) from None


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones()) - _NO_IANA_ZONES


def _moments(expression: str, zone_name: str, after_ms: int) -> Iterator[int]:
    """All moments after `after_ms` at which the expression fires, ascending, each once."""
    check_zone(zone_name)
    zone = ZoneInfo(zone_name)
    fields = " ".join(_split(expression))
    last = after_ms
    # Every wall-clock time up to the one shown now has run by now, by the rule.
    try:
        for wall in CronSim(fields, _wall_clock(after_ms // 1000, zone)):
            moment = _first_shown(wall, zone) * 1000
            if moment > last:
                last = moment
                yield moment
    except CronSimError as error:
        raise CronError(f"{expression!r} is not valid: {error}") from None


def _wall_clock(seconds: int, zone: ZoneInfo) -> datetime:
    """What the clocks of the zone show at a moment (seconds since the epoch)."""
    return datetime.fromtimestamp(seconds, zone).replace(tzinfo=None)


def _first_shown(wall: datetime, zone: ZoneInfo) -> int:
    """The first moment (seconds) at which the clocks of the zone show `wall` or a later time."""
    earlier = wall.replace(tzinfo=zone, fold=0)
    moment = _epoch_seconds(wall, earlier.utcoffset())
    if _wall_clock(moment, zone) == wall:
        return moment
    # Within a gap: reckoned by the offset after it one lands before the change, and vice versa.
    before_change = _epoch_seconds(wall, wall.replace(tzinfo=zone, fold=1).utcoffset())
    span = range(before_change, moment + 1)
    return span[bisect_left(span, wall, key=lambda second: _wall_clock(second, zone))]


def _epoch_seconds(wall: datetime, offset: timedelta | None) -> int:
    return int((wall.replace(tzinfo=UTC) - (offset or timedelta())).timestamp())
