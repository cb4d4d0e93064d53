"""The rate limits of API keys."""

from hypothesis import given
from hypothesis import strategies as st

from corvo_server.auth.rates import Rates


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_bucket_holds_the_requests_of_one_second() -> None:
    clock = Clock()
    rates = Rates(clock)
    assert [rates.take("a", 3) for _ in range(4)] == [None, None, None, 1]
    assert rates.take("b", 3) is None  # each key has its own
    clock.now += 0.34
    assert [rates.take("a", 3) for _ in range(2)] == [None, 1]
    clock.now += 60
    assert [rates.take("a", 3) for _ in range(4)] == [None, None, None, 1]


def test_clock_that_goes_back_takes_no_tokens() -> None:
    clock = Clock()
    rates = Rates(clock)
    assert rates.take("a", 2) is None
    clock.now -= 50
    assert rates.take("a", 2) is None
    assert rates.take("a", 2) == 1


@given(st.integers(1, 20), st.lists(st.floats(0, 2), max_size=100))
def test_no_window_has_more_requests_than_the_rate_and_one_burst(
    rate: int, pauses: list[float]
) -> None:
    clock = Clock()
    rates = Rates(clock)
    taken = []
    for pause in pauses:
        clock.now += pause
        if rates.take("a", rate) is None:
            taken.append(clock.now)
    for first, start in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= rate * (taken[last] - start) + rate + 1e-6
