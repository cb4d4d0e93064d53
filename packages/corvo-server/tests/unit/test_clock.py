"""The clock that nodes share: what it shows between two looks at it."""

import pytest

from corvo_server.engine.clock import SharedClock, steady_clock, system_clock


class Steady:
    """A steady clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def steady() -> Steady:
    return Steady()


def test_shows_the_time_of_this_machine_before_it_is_set() -> None:
    assert abs(SharedClock()() - system_clock()) < 1000
    assert steady_clock() <= steady_clock()


def test_shows_what_it_was_set_to_and_counts_on(steady: Steady) -> None:
    clock = SharedClock(steady)
    clock.set(5_000_000, asked=999.99, answered=1000.0)
    assert abs(clock() - 5_000_005) <= 5
    steady.seconds += 60
    assert abs(clock() - 5_060_005) <= 5


def test_does_not_tremble_with_the_time_that_answers_take(steady: Steady) -> None:
    clock = SharedClock(steady)
    clock.set(5_000_000, asked=1000.0, answered=1000.0)
    steady.seconds = 1010.0
    shown = clock()
    # It may have been 5_010_000 at any moment of these three seconds: nothing is known better.
    clock.set(5_010_000, asked=1008.5, answered=1011.5)
    assert clock() == shown


def test_follows_when_it_was_wrong_no_further_than_it_must(steady: Steady) -> None:
    clock = SharedClock(steady)
    clock.set(5_000_000, asked=1000.0, answered=1000.0)
    clock.set(5_000_000, asked=999.0, answered=999.5)  # at 1000.0 it was 500 to 1000 ms later
    assert 5_000_500 <= clock() <= 5_000_502
    clock.set(9_000_000, asked=1000.0, answered=1000.0)  # somebody has set it
    assert 9_000_000 <= clock() <= 9_000_001
    clock.set(4_000_000, asked=1000.0, answered=1000.0)
    assert 4_000_000 <= clock() <= 4_000_001
