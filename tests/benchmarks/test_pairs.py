"""Slices on two servers in turn: the first server alternates, and each pair gives a ratio."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from corvo_bench.results import Sample
from corvo_bench.scenarios.pairs import Side, in_pairs, ratio
from corvo_bench.server import Server


def test_the_first_side_alternates_and_the_samples_keep_their_sides(tmp_path: Path) -> None:
    usual, other = (Side(Server(tmp_path / name), [name]) for name in ("usual", "other"))
    order: list[str] = []

    def take(side: Side) -> Sequence[Sample]:
        order.extend(side.queues)
        value = len(order) if side is usual else -len(order)
        return [Sample("p50", value), Sample("p99", 10 * value)]

    pairs = [(mine.value, theirs.value) for mine, theirs in in_pairs(3, usual, other, take)]
    assert order == ["usual", "other", "other", "usual", "usual", "other"]
    assert pairs == [(1, -2), (10, -20), (4, -3), (40, -30), (5, -6), (50, -60)]


def test_a_ratio_covers_rate_and_cpu_time() -> None:
    usual = Sample("life.50", 200.0, details={"server_cpu_us": 40.0, "p50_ms": 1.0})
    other = Sample("life.50", 150.0, details={"server_cpu_us": 50.0, "p50_ms": 2.0})
    assert ratio(usual, other) == Sample("life.50.ratio", 0.75, details={"cpu": 1.25})


def test_samples_without_cpu_time_have_a_ratio() -> None:
    assert ratio(Sample("p50", 2.0), Sample("p50", 3.0)).value == pytest.approx(1.5)
