from copy import deepcopy

from corvo_bench.baseline import changes, changes_table
from corvo_bench.results import Results, Sample


def with_ceilings(results: Results, per_second: float) -> Results:
    copy = deepcopy(results)
    copy.add(Sample(f"ceiling.sanic.{n}", per_second) for n in (1, 50))
    return copy


def test_a_faster_machine_is_not_an_improvement(results: Results) -> None:
    before, now = with_ceilings(results, 10_000), with_ceilings(results, 20_000)
    before.add([Sample("enqueue.50", 1000.0), Sample("delivery.p50", 2.0)])
    now.add([Sample("enqueue.50", 2000.0), Sample("delivery.p50", 1.0)])
    rate, latency = changes(before, now)
    assert (rate.raw, rate.scaled) == (2.0, 1.0)
    assert (latency.raw, latency.scaled) == (2.0, 1.0)


def test_a_regression_is_listed_first_and_marked(results: Results) -> None:
    before, now = with_ceilings(results, 10_000), with_ceilings(results, 10_000)
    before.add([Sample("enqueue.50", 1000.0), Sample("delivery.p50", 1.0)])
    now.add([Sample("enqueue.50", 1000.0), Sample("delivery.p50", 2.0)])
    first, second = changes_table(before, now).splitlines()[2:]
    assert "delivery.p50 ⚠" in first
    assert "0.50" in first
    assert "⚠" not in second


def test_a_metric_of_only_one_run_is_left_out(results: Results) -> None:
    before, now = with_ceilings(results, 10_000), with_ceilings(results, 10_000)
    before.add([Sample("by_queues.life", 10.0, x=1.0)])
    now.add([Sample("by_queues.life", 10.0, x=2.0)])
    assert changes(before, now) == []


def test_a_metric_without_its_reference_is_not_scaled(results: Results) -> None:
    now = deepcopy(results)
    results.add([Sample("enqueue.50", 1000.0)])
    now.add([Sample("enqueue.50", 900.0)])
    (change,) = changes(results, now)
    assert change.scaled == change.raw == 0.9


def test_metrics_of_runs_with_different_sizes_are_not_compared(results: Results) -> None:
    now = deepcopy(results)
    now.settings["seed_jobs"] = 50_000
    for run in (results, now):
        run.add([Sample("start", 1.0), Sample("enqueue.1", 1.0)])
    assert [change.metric.name for change in changes(results, now)] == ["enqueue.1"]
