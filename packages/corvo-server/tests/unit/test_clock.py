"""The clock that nodes share, between two readings of the database's clock."""

import pytest

from corvo_server.engine.clock import SharedClock, lower_bound_of, system_clock
from corvo_server.store.nodes import Reading, steady_clock


class Steady:
    """A steady clock that only the test advances."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def steady() -> Steady:
    return Steady()


@pytest.fixture
def clock(steady: Steady) -> SharedClock:
    """A clock after one reading: 5_000_000 ms, at a moment between 999.99 s and 1000 s."""
    clock = SharedClock(steady)
    clock.adjust(Reading(5_000_000, asked=999.99, answered=1000.0))
    return clock


def test_clock_shows_this_machines_time_before_the_first_reading() -> None:
    assert abs(SharedClock()() - system_clock()) < 1000
    assert steady_clock() <= steady_clock()


def test_clock_shows_the_reading_and_advances(steady: Steady, clock: SharedClock) -> None:
    assert 5_000_000 <= clock() <= 5_000_011
    steady.seconds += 60
    assert 5_060_000 <= clock() <= 5_060_011


def test_slow_reading_changes_nothing(steady: Steady, clock: SharedClock) -> None:
    steady.seconds = 1010.0
    shown = clock()
    clock.adjust(Reading(5_010_000, asked=1000.0, answered=1010.0))
    assert abs(clock() - shown) <= 6  # as imprecise as before


def test_fast_reading_is_more_precise_than_a_slow_one(steady: Steady, clock: SharedClock) -> None:
    clock.adjust(Reading(5_000_008, asked=1000.0, answered=1000.0))
    assert 5_000_008 <= clock() <= 5_000_009


def test_clock_follows_a_faster_clock(steady: Steady, clock: SharedClock) -> None:
    told = 5_000_000.0
    for _ in range(1000):
        steady.seconds += 1
        told += 1000.3
        clock.adjust(Reading(int(told), steady.seconds - 0.002, steady.seconds))
    assert abs(clock() - told) < 5


@pytest.mark.parametrize("now", [4_000_000, 5_000_100, 9_000_000])
def test_clock_follows_a_clock_that_was_set_at_once(now: int, clock: SharedClock) -> None:
    clock.adjust(Reading(now, asked=1000.0, answered=1000.0))
    assert now <= clock() <= now + 1


def test_lower_bound_is_never_ahead(steady: Steady, clock: SharedClock) -> None:
    assert lower_bound_of(clock)() <= 5_000_000
    assert lower_bound_of(system_clock) is system_clock
    steady.seconds += 10
    assert 5_009_990 <= clock.lower_bound() <= 5_010_000 <= clock()
    assert SharedClock(steady).lower_bound() < system_clock() - 1000
