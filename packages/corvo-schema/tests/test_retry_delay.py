"""The delay before the next attempt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corvo_schema.durations import MAX_DURATION_MS
from corvo_schema.rules import retry_delay
from corvo_schema.states import Backoff

delays = st.integers(0, MAX_DURATION_MS)
attempts = st.integers(1, 1_000_000)
luck = st.floats(0, 1, exclude_max=True)
growing = st.sampled_from([Backoff.FIXED, Backoff.LINEAR, Backoff.EXPONENTIAL])


def plain(backoff: Backoff, attempt: int, base: int = 1000, most: int = 10**12) -> int:
    return retry_delay(backoff, base, most, attempt, 0)


@pytest.mark.parametrize(
    ("backoff", "expected"),
    [
        (Backoff.NONE, [0, 0, 0, 0, 0]),
        (Backoff.FIXED, [1000] * 5),
        (Backoff.LINEAR, [1000, 2000, 3000, 4000, 5000]),
        (Backoff.EXPONENTIAL, [1000, 2000, 4000, 8000, 16000]),
    ],
)
def test_delay_grows_as_its_strategy_says(backoff: Backoff, expected: list[int]) -> None:
    assert [plain(backoff, attempt) for attempt in range(1, 6)] == expected


@given(st.sampled_from(Backoff), delays, delays, attempts, luck)
def test_delay_is_bounded_by_the_cap_and_a_tenth(
    backoff: Backoff, base: int, most: int, attempt: int, luck: float
) -> None:
    delay = retry_delay(backoff, base, most, attempt, luck)
    assert isinstance(delay, int)
    assert 0 <= delay <= most * 1.1


@given(growing, delays, delays, attempts, luck)
def test_luck_adds_at_most_a_tenth_and_takes_nothing(
    backoff: Backoff, base: int, most: int, attempt: int, luck: float
) -> None:
    least = retry_delay(backoff, base, most, attempt, 0)
    delay = retry_delay(backoff, base, most, attempt, luck)
    assert least <= delay <= least * 1.1
    assert least >= min(base, most)


@given(growing, delays, delays, attempts)
def test_delay_never_shrinks_with_the_attempts(
    backoff: Backoff, base: int, most: int, attempt: int
) -> None:
    assert retry_delay(backoff, base, most, attempt, 0) <= retry_delay(
        backoff, base, most, attempt + 1, 0
    )


@given(delays, delays, attempts, luck)
def test_without_backoff_there_is_no_delay(base: int, most: int, attempt: int, luck: float) -> None:
    assert retry_delay(Backoff.NONE, base, most, attempt, luck) == 0


@given(growing, delays, attempts)
def test_cap_below_the_base_wins(backoff: Backoff, base: int, attempt: int) -> None:
    assert retry_delay(backoff, base, base // 2, attempt, 0) == base // 2


def test_luck_spreads_over_the_tenth() -> None:
    spread = {retry_delay(Backoff.FIXED, 1000, 10_000, 1, i / 100) for i in range(100)}
    assert min(spread) == 1000
    assert 1090 < max(spread) <= 1100
    assert len(spread) > 50
