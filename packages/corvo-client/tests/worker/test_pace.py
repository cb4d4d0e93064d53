from hypothesis import given
from hypothesis import strategies as st

from corvo_client.worker._pace import HEAD_START, MAX_AHEAD, MAX_GROWTH, NONE, Ahead, Pace, ahead

ENDED = st.integers(0, 10**6)
SECONDS = st.floats(1e-6, 1e4)
SIZES = st.integers(1, 2000)


@given(ENDED, SECONDS, SECONDS, SIZES)
def test_what_is_held_is_bounded(ended: int, seconds: float, latency: float, size: int) -> None:
    low, high = ahead(ended, seconds, latency, size)
    assert 0 <= low <= high <= min(MAX_AHEAD, ended * MAX_GROWTH)
    assert high <= ended / seconds * (latency + HEAD_START)


@given(ENDED, SECONDS, SECONDS, SIZES)
def test_no_more_than_what_ends_during_a_fetch_unless_that_empties_all_slots(
    ended: int, seconds: float, latency: float, size: int
) -> None:
    low, high = ahead(ended, seconds, latency, size)
    if ended / seconds * latency < size:
        assert low == 0
        assert high <= ended / seconds * latency


@given(SECONDS, SECONDS, SIZES)
def test_nothing_is_held_where_no_job_ends_during_a_fetch(
    seconds: float, latency: float, size: int
) -> None:
    ended = int(seconds / latency * 0.99)
    assert ahead(ended, seconds, latency, size) == NONE


@given(ENDED, ENDED, SECONDS, SECONDS, SIZES)
def test_the_shorter_the_jobs_the_further_ahead(
    few: int, more: int, seconds: float, latency: float, size: int
) -> None:
    slower, faster = (ahead(n, seconds, latency, size) for n in sorted((few, more)))
    assert slower.low <= faster.low
    assert slower.high <= faster.high


def test_jobs_that_take_no_time_to_speak_of_are_held_to_the_bound() -> None:
    assert ahead(1000, 0.01, 0.005, 50) == Ahead(500, MAX_AHEAD)


def test_a_few_short_jobs_are_no_reason_to_hold_many() -> None:
    assert ahead(10, 0.0001, 0.005, 10) == Ahead(80, 80)


def test_a_clock_that_stands_still_is_no_error() -> None:
    assert ahead(10, 0.0, 0.005, 10) == NONE


def test_the_rate_is_that_of_the_time_since_the_last_fetch_but_one() -> None:
    pace = Pace()
    for now, busy, finished in ((10.0, 1.0, 100), (10.5, 1.5, 160)):
        pace.begin(now, busy, finished)
        pace.end(now + 0.25, is_full=True)
    assert pace.ahead(1.75, 190, size=50) == Ahead(0, 30)  # 90 in 0.75 s, for a quarter of a second


def test_nothing_is_held_where_there_is_no_backlog() -> None:
    pace = Pace()
    pace.begin(10.0, 0.0, finished=0)
    pace.end(10.25, is_full=True)
    pace.begin(10.5, 0.25, finished=1000)
    pace.end(10.75, is_full=False)
    assert pace.ahead(0.5, 2000, size=10) == NONE
