"""Occurrences at every clock change of every zone in two years, against a naive minute loop."""

from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corvo_server.engine import cron
from server_support.wall_clock import (
    DAY,
    HOUR,
    MINUTE,
    Matches,
    Transition,
    Walk,
    offset,
    transitions,
)

START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
END = int(datetime(2028, 1, 1, tzinfo=UTC).timestamp())
ZONES = sorted(available_timezones() - {"localtime", "Factory"})


HISTORIES = {
    name: (offset(zone, START), tuple(transitions(zone, START, END)))
    for name, zone in ((name, ZoneInfo(name)) for name in ZONES)
}
DISTINCT = sorted({history: name for name, history in HISTORIES.items()}.values())
"""One zone for each group of zones with the same offsets."""
CHANGES = {change: name for name in DISTINCT for change in HISTORIES[name][1]}
"""Each distinct clock change, with a zone that has it."""
CASES = [
    pytest.param(change, zone, id=f"{zone}-{datetime.fromtimestamp(change.at, UTC):%Y-%m-%d}")
    for change, zone in sorted(CHANGES.items())
]


def _at(hour: int, minute: int) -> tuple[str, Matches]:
    return f"{minute} {hour} * * *", lambda wall: (wall.hour, wall.minute) == (hour, minute)


DAILY: list[tuple[str, Matches]] = [
    ("* * * * *", lambda _: True),
    ("@hourly", lambda wall: wall.minute == 0),
    ("17 * * * *", lambda wall: wall.minute == 17),
    ("*/13 * * * *", lambda wall: wall.minute % 13 == 0),
    ("7-59/15 * * * *", lambda wall: wall.minute % 15 == 7),
    ("0 */2 * * *", lambda wall: wall.minute == 0 and wall.hour % 2 == 0),
    ("45 1,2,3 * * *", lambda wall: wall.minute == 45 and wall.hour in {1, 2, 3}),
    ("*/20 0-4 * * *", lambda wall: wall.minute % 20 == 0 and wall.hour <= 4),
    ("0 0 * * *", lambda wall: (wall.hour, wall.minute) == (0, 0)),
    _at(12, 30),
]
WEEKLY: list[tuple[str, Matches]] = [
    ("30 2 * * SUN", lambda wall: _at(2, 30)[1](wall) and wall.isoweekday() == 7),
    ("59 23 * * SAT", lambda wall: _at(23, 59)[1](wall) and wall.isoweekday() == 6),
]
AROUND = range(-75, 76, 25)
"""Distances in minutes from the wall-clock times before and after a change."""


def _near(change: Transition) -> list[tuple[str, Matches]]:
    """Return daily schedules before, within and after the time that a change skips or repeats."""
    times = set()
    for side in (change.before, change.after):
        for minutes in AROUND:
            wall = datetime.fromtimestamp(change.at + minutes * MINUTE, UTC) + side
            times.add((wall.hour, wall.minute))
    return [_at(hour, minute) for hour, minute in sorted(times)]


def _runs(walk: Walk, expression: str, matches: Matches) -> list[int]:
    """Return the times at which an expression runs, by the rule for it."""
    minute, hour, *_ = expression.replace("@hourly", "0 * * * *").split()
    is_interval = set("*/") & set(minute + hour)
    return walk.minutes(matches) if is_interval else walk.runs(matches)


def test_clock_changes_of_all_kinds_are_covered() -> None:
    gaps = {change.gap.total_seconds() / MINUTE for change in CHANGES}
    assert {60, -60, 30, -30, 120, -120} <= gaps
    assert len(ZONES) > 500
    assert len(CHANGES) > 100


@pytest.mark.parametrize(("change", "zone"), CASES)
def test_runs_about_a_clock_change_follow_the_rule(change: Transition, zone: str) -> None:
    start = change.at - 4 * HOUR
    end = change.at + 22 * HOUR
    walk = Walk(ZoneInfo(zone), start, end)
    for expression, matches in DAILY + WEEKLY + _near(change):
        expected = _runs(walk, expression, matches)
        found = []
        after = start * 1000
        while (moment := cron.next_after(expression, zone, after)) and moment <= end * 1000:
            found.append(moment // 1000)
            after = moment
        assert found == expected, expression


@settings(deadline=None)
@given(data=st.data())
def test_next_run_does_not_depend_on_the_starting_time(data: st.DataObject) -> None:
    change, zone = data.draw(st.sampled_from(sorted(CHANGES.items())))
    expression, matches = data.draw(st.sampled_from(DAILY + _near(change)))
    after = data.draw(st.integers((change.at - 4 * HOUR) * 1000, (change.at + 4 * HOUR) * 1000))
    start = after // 1000 // MINUTE * MINUTE
    # Start before the change, so that the loop knows which times have been shown.
    runs = _runs(Walk(ZoneInfo(zone), change.at - 5 * HOUR, start + 2 * DAY), expression, matches)
    expected = next(run * 1000 for run in runs if run * 1000 > after)
    assert cron.next_after(expression, zone, after) == expected


@pytest.mark.parametrize(("change", "zone"), CASES)
def test_interval_goes_on_by_elapsed_time(change: Transition, zone: str) -> None:
    moments = cron.upcoming("*/30 * * * *", zone, (change.at - 4 * HOUR) * 1000, 20)
    assert {later - moment for moment, later in pairwise(moments)} == {30 * MINUTE * 1000}


UNUSUAL = {
    "Pacific/Apia": "2011-12-30T10:00",  # skips a day
    "Pacific/Kwajalein": "1969-09-30T13:00",  # repeats 23 hours
    "Europe/Dublin": "2026-10-25T01:00",  # winter time is the exception, with negative DST
    "Australia/Lord_Howe": "2026-04-04T15:00",  # changes by half an hour
    "Africa/Casablanca": "2026-02-15T02:00",
    "Antarctica/Troll": "2026-10-25T01:00",  # changes by two hours
    "Asia/Kathmandu": "1985-12-31T18:30",  # changes by a quarter of an hour
    "Europe/Berlin": "1945-05-24T00:00",  # double summer time begins
}
"""Zones and times (UTC) near unusual clock changes."""


@st.composite
def _fields(draw: st.DrawFn, limit: int) -> tuple[str, frozenset[int]]:
    """Return a field of a cron expression and the values that match it."""
    kind = draw(st.sampled_from(["value", "list", "range", "*", "step", "range with step"]))
    if kind == "*":
        return "*", frozenset(range(limit))
    first, last = sorted((draw(st.integers(0, limit - 1)), draw(st.integers(0, limit - 1))))
    step = draw(st.integers(1, limit // 2))
    match kind:
        case "value":
            return f"{first}", frozenset({first})
        case "list":
            return f"{first},{last}", frozenset({first, last})
        case "range":
            return f"{first}-{last}", frozenset(range(first, last + 1))
        case "step":
            return f"*/{step}", frozenset(range(0, limit, step))
        case _:
            last = min(first + step, limit - 1)
            first = last - 1 if first == last else first
            return f"{first}-{last}/{step}", frozenset(range(first, last + 1, step))


@cache
def _walk_about(zone: str) -> Walk:
    """Return a walk through the clock change of an unusual zone. Walks are slow to make."""
    start = _start_of(zone)
    return Walk(ZoneInfo(zone), start, start + 29 * HOUR)


def _start_of(zone: str) -> int:
    change = datetime.fromisoformat(UNUSUAL[zone]).replace(tzinfo=UTC)
    return int(change.timestamp()) - 3 * HOUR


@settings(deadline=None)
@given(zone=st.sampled_from(sorted(UNUSUAL)), minute=_fields(60), hour=_fields(24))
def test_any_expression_follows_its_rule(
    zone: str, minute: tuple[str, frozenset[int]], hour: tuple[str, frozenset[int]]
) -> None:
    expression = f"{minute[0]} {hour[0]} * * *"
    expected = _runs(
        _walk_about(zone),
        expression,
        lambda wall: wall.minute in minute[1] and wall.hour in hour[1],
    )
    moments = cron.upcoming(expression, zone, _start_of(zone) * 1000, len(expected))
    assert [moment // 1000 for moment in moments] == expected


@pytest.mark.parametrize("zone", DISTINCT)
def test_daily_schedule_runs_once_on_every_date(zone: str) -> None:
    start = START * 1000
    runs = cron.upcoming("30 2 * * *", zone, start, 730)
    walls = [datetime.fromtimestamp(run / 1000, ZoneInfo(zone)) for run in runs]
    assert len({wall.date() for wall in walls}) == 730
    assert (walls[-1].date() - walls[0].date()).days == 729
