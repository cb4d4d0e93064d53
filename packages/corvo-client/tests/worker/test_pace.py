from hypothesis import given
from hypothesis import strategies as st

from corvo_client.worker._pace import (
    MAX_GROWTH,
    MAX_PREFETCH,
    NO_PREFETCH,
    PREFETCH_SECONDS,
    Pace,
    Prefetch,
    prefetch_limits,
)

FINISHED = st.integers(0, 10**6)
SECONDS = st.floats(1e-6, 1e4)
SIZES = st.integers(1, 2000)


@given(FINISHED, SECONDS, SECONDS, SIZES)
def test_prefetch_has_a_maximum(finished: int, seconds: float, latency: float, size: int) -> None:
    low, high = prefetch_limits(finished, seconds, latency, size)
    assert 0 <= low <= high <= min(MAX_PREFETCH, finished * MAX_GROWTH)
    assert high <= finished / seconds * (latency + PREFETCH_SECONDS)


@given(FINISHED, SECONDS, SECONDS, SIZES)
def test_no_more_than_the_jobs_that_finish_during_a_fetch_unless_that_frees_all_slots(
    finished: int, seconds: float, latency: float, size: int
) -> None:
    low, high = prefetch_limits(finished, seconds, latency, size)
    if finished / seconds * latency < size:
        assert low == 0
        assert high <= finished / seconds * latency


@given(SECONDS, SECONDS, SIZES)
def test_no_prefetch_if_no_job_finishes_during_a_fetch(
    seconds: float, latency: float, size: int
) -> None:
    finished = int(seconds / latency * 0.99)
    assert prefetch_limits(finished, seconds, latency, size) == NO_PREFETCH


@given(FINISHED, FINISHED, SECONDS, SECONDS, SIZES)
def test_shorter_jobs_prefetch_more(
    few: int, more: int, seconds: float, latency: float, size: int
) -> None:
    slower, faster = (prefetch_limits(n, seconds, latency, size) for n in sorted((few, more)))
    assert slower.low <= faster.low
    assert slower.high <= faster.high


def test_very_short_jobs_prefetch_the_maximum() -> None:
    assert prefetch_limits(1000, 0.01, 0.005, 50) == Prefetch(500, MAX_PREFETCH)


def test_a_few_short_jobs_prefetch_few() -> None:
    assert prefetch_limits(10, 0.0001, 0.005, 10) == Prefetch(80, 80)


def test_no_elapsed_time_is_no_error() -> None:
    assert prefetch_limits(10, 0.0, 0.005, 10) == NO_PREFETCH


def test_the_rate_is_measured_since_the_fetch_before_the_last_one() -> None:
    pace = Pace()
    for now, busy, finished in ((10.0, 1.0, 100), (10.5, 1.5, 160)):
        pace.begin(now, busy, finished)
        pace.end(now + 0.25, is_full=True)
    # 90 jobs finished in 0.75 s, and a fetch takes 0.25 s.
    assert pace.prefetch(1.75, 190, size=50) == Prefetch(0, 30)


def test_no_prefetch_without_a_backlog() -> None:
    pace = Pace()
    pace.begin(10.0, 0.0, finished=0)
    pace.end(10.25, is_full=True)
    pace.begin(10.5, 0.25, finished=1000)
    pace.end(10.75, is_full=False)
    assert pace.prefetch(0.5, 2000, size=10) == NO_PREFETCH
