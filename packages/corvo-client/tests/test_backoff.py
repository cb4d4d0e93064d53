from corvo_client._backoff import Backoff


def test_delays_double_up_to_the_cap_with_jitter() -> None:
    for bound in (0.1, 0.2, 0.4, 0.8, 1.0, 1.0):
        seen = set()
        for _ in range(50):
            backoff = Backoff(base=0.1, cap=1.0)
            backoff.failures = [0.1, 0.2, 0.4, 0.8, 1.0].index(bound)
            seen.add(backoff.next())
        assert all(bound / 2 <= delay <= bound for delay in seen)
        assert len(seen) > 40


def test_the_first_of_twenty_failures_is_logged() -> None:
    backoff = Backoff()
    news = []
    for _ in range(40):
        news.append(backoff.should_log)
        backoff.next()
    assert [number for number, is_news in enumerate(news) if is_news] == [0, 20]


def test_reset_starts_over() -> None:
    backoff = Backoff(base=0.1, cap=1.0)
    for _ in range(5000):
        backoff.next()
    assert backoff.next() >= 0.5
    backoff.reset()
    assert backoff.next() <= 0.1
