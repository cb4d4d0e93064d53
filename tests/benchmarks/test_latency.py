from copy import deepcopy

import pytest

from corvo_bench.latency import Latencies


def test_percentiles_are_within_a_thousandth() -> None:
    latencies = Latencies(n / 1e4 for n in range(1, 1001))  # 0.1 to 100 ms
    assert len(latencies) == 1000
    assert latencies.percentile(50) == pytest.approx(50.0, rel=1e-3)
    assert latencies.percentile(99) == pytest.approx(99.0, rel=1e-3)
    assert latencies.longest == pytest.approx(100.0, rel=1e-3)


def test_a_latency_out_of_range_counts_as_the_limit() -> None:
    latencies = Latencies([0.0, 1e6])
    assert latencies.percentile(1) == pytest.approx(0.001)
    assert latencies.longest == pytest.approx(600_000.0, rel=1e-3)


def test_histograms_can_be_merged_and_pickled() -> None:
    one, other = Latencies([0.001] * 3), Latencies([0.004])
    one.merge(other)
    travelled = deepcopy(one)  # copies as pickle does between processes
    assert len(travelled) == 4
    assert travelled.percentile(75) == pytest.approx(1.0, rel=1e-3)
    assert travelled.longest == pytest.approx(4.0, rel=1e-3)


def test_an_empty_histogram_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="no latency"):
        Latencies().percentile(50)
