from pathlib import Path

import pytest

from corvo_bench.results import Results, Sample


def test_rounds_are_collected_in_one_series(measured: Results) -> None:
    series = measured.find("enqueue.1")
    assert series is not None
    assert series.values == [900.0, 1500.0, 1300.0]
    assert series.median == 1300.0
    assert series.spread == (900.0, 1500.0)
    assert series.detail("server_cpu_us") == 130.0
    assert series.detail("unknown") is None


def test_subjects_and_points_are_separate_series(measured: Results) -> None:
    assert measured.subjects(["peer.serial"]) == ["Corvo", "Another"]
    assert [point.x for point in measured.curve("by_finished.enqueue")] == [0.0, 1000.0]
    assert measured.find("by_finished.enqueue") is None


def test_a_curve_is_sorted_by_its_axis(results: Results) -> None:
    results.add(Sample("by_queues.life", 1.0, x=x) for x in (100.0, 1.0, 10.0))
    assert [point.x for point in results.curve("by_queues.life")] == [1.0, 10.0, 100.0]


def test_saved_results_can_be_loaded(measured: Results, tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.json"
    measured.save(path)
    assert Results.load(path) == measured


def test_values_are_saved_with_five_digits(results: Results, tmp_path: Path) -> None:
    results.add([Sample("enqueue.1", 1234.5678)])
    results.save(tmp_path / "results.json")
    series = Results.load(tmp_path / "results.json").find("enqueue.1")
    assert series is not None
    assert series.values == [1234.6]


def test_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text('{"format": 0}')
    with pytest.raises(ValueError, match="format 1; measure again"):
        Results.load(path)


def test_an_omission_is_stored_once(results: Results) -> None:
    results.omit("redis", "not found")
    results.omit("redis", "not found")
    assert len(results.omissions) == 1
