from corvo_client.worker._pace import Pace


def test_what_ends_during_a_fetch_is_expected_to_end_during_the_next() -> None:
    pace = Pace()
    for start, finished in ((10.0, 100), (10.5, 160)):
        pace.begin(start, finished)
        pace.end(start + 0.25, is_full=True)
    assert pace.expected(10.75, finished=190) == 30  # 120 a second, a quarter of a second


def test_nothing_is_expected_of_long_jobs() -> None:
    pace = Pace()
    for start, finished in ((10.0, 100), (20.0, 101)):
        pace.begin(start, finished)
        pace.end(start + 0.25, is_full=True)
    assert pace.expected(20.25, finished=101) == 0


def test_nothing_is_expected_where_there_is_no_backlog() -> None:
    pace = Pace()
    pace.begin(10.0, finished=0)
    pace.end(10.25, is_full=True)
    pace.begin(10.5, finished=1000)
    pace.end(10.75, is_full=False)
    assert pace.expected(10.75, finished=2000) == 0


def test_a_clock_that_stands_still_is_no_error() -> None:
    pace = Pace()
    pace.begin(0.0, finished=10)
    pace.end(0.0, is_full=True)
    assert pace.expected(0.0, finished=20) == 0
