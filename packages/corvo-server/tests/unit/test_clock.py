"""The clock that nodes share: what it shows between two looks at it."""

import pytest

from corvo_server.engine.clock import SharedClock, lower_bound_of, system_clock
from corvo_server.store.nodes import Reading, steady_clock


class Steady:
    """A steady clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def steady() -> Steady:
    return Steady()


@pytest.fixture
def clock(steady: Steady) -> SharedClock:
    """A clock that has been looked at: it was 5_000_000 at some moment between 999.99 and 1000."""
    clock = SharedClock(steady)
    clock.adjust(Reading(5_000_000, asked=999.99, answered=1000.0))
    return clock


def test_shows_the_time_of_this_machine_before_the_first_look() -> None:
    assert abs(SharedClock()() - system_clock()) < 1000
    assert steady_clock() <= steady_clock()


def test_shows_what_was_read_and_counts_on(steady: Steady, clock: SharedClock) -> None:
    assert 5_000_000 <= clock() <= 5_000_011
    steady.seconds += 60
    assert 5_060_000 <= clock() <= 5_060_011


def test_look_that_took_long_changes_nothing(steady: Steady, clock: SharedClock) -> None:
    steady.seconds = 1010.0
    shown = clock()
    clock.adjust(Reading(5_010_000, asked=1000.0, answered=1010.0))
    assert abs(clock() - shown) <= 6  # as unsure as before


def test_quick_look_tells_more_than_a_slow_one(steady: Steady, clock: SharedClock) -> None:
    clock.adjust(Reading(5_000_008, asked=1000.0, answered=1000.0))
    assert 5_000_008 <= clock() <= 5_000_009


def test_looks_at_a_clock_that_goes_faster_are_followed(steady: Steady, clock: SharedClock) -> None:
    told = 5_000_000.0
    for _ in range(1000):
        steady.seconds += 1
        told += 1000.3
        clock.adjust(Reading(int(told), steady.seconds - 0.002, steady.seconds))
    assert abs(clock() - told) < 5


@pytest.mark.parametrize("now", [4_000_000, 5_000_100, 9_000_000])
def test_clock_that_was_set_or_is_another_one_is_followed_at_once(
    now: int, clock: SharedClock
) -> None:
    clock.adjust(Reading(now, asked=1000.0, answered=1000.0))
    assert now <= clock() <= now + 1


def test_surely_shows_no_moment_that_may_not_have_come(steady: Steady, clock: SharedClock) -> None:
    assert lower_bound_of(clock)() <= 5_000_000
    assert lower_bound_of(system_clock) is system_clock
    steady.seconds += 10
    assert 5_009_990 <= clock.lower_bound() <= 5_010_000 <= clock()
    assert SharedClock(steady).lower_bound() < system_clock() - 1000
