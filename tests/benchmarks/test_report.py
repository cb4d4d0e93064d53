import re

import pytest

from corvo_bench.metrics import BY_NAME
from corvo_bench.report.behind import behind
from corvo_bench.report.page import chart_names, page
from corvo_bench.report.reasons import REASONS
from corvo_bench.report.tables import number
from corvo_bench.results import Results, Sample


def row_of(text: str, title: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {title} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_metric_has_median_spread_and_goals(measured: Results) -> None:
    row = row_of(page(measured, "charts"), "Enqueue, one request a job, 1 connection")
    assert row[1:] == ["**1,300 jobs/s**", "900 to 1,500 (3)", "1,200", "2,000", "130 µs"]


def test_a_metric_that_misses_its_goal_is_marked(results: Results) -> None:
    results.add([Sample("delivery.p99", 7.0), Sample("delivery.p50", 1.0)])
    text = page(results, "charts")
    assert row_of(text, "Enqueue to one of 200 idle long polls, p99")[1] == "7 ms (behind)"
    assert row_of(text, "Enqueue to one of 200 idle long polls, p50")[1] == "**1 ms**"


def test_the_best_of_each_column_is_bold(measured: Results) -> None:
    text = page(measured, "charts")
    assert "**1,200**" in row_of(text, "Corvo")[1]
    assert "**" not in row_of(text, "Another")[1]
    assert "**1.2**" in "".join(row_of(text, "Corvo"))


def test_growth_is_the_ratio_of_the_last_and_first_points(measured: Results) -> None:
    text = page(measured, "charts")
    row = row_of(text, "Finished jobs in the table: enqueue, 50 connections")
    assert row[1:] == ["5,000 jobs/s at 0", "4,000 jobs/s at 1,000", "0.8", "-"]


def test_growth_measured_in_pairs_is_the_median_ratio(measured: Results) -> None:
    measured.add([Sample("by_finished.enqueue.ratio", value, x=1000) for value in (0.9, 1.0, 0.95)])
    row = row_of(page(measured, "charts"), "Finished jobs in the table: enqueue, 50 connections")
    assert row[-2:] == ["0.95", "0.9 to 1 (3)"]


def test_charts_are_linked_only_when_drawn(measured: Results) -> None:
    assert chart_names(measured) == ["by_finished"]
    assert re.findall(r"\(charts/(\w+)\.svg\)", page(measured, "charts")) == ["by_finished"]


def test_metrics_behind_their_goal_are_listed_with_a_reason(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REASONS, "peer.drain", "For a reason.")
    results.add([Sample("delivery.p99", 7.0), Sample("delivery.p50", 1.0)])
    for metric, ours, theirs in (("serial", 9.0, 3.0), ("drain", 500.0, 1000.0)):
        results.add([Sample(f"peer.{metric}", ours), Sample(f"peer.{metric}", theirs, "Another")])
    assert list(behind(results)) == [
        "- **Enqueue to one of 200 idle long polls, p99**: 7 ms, 5 to reach. Not explained yet.",
        "- **drain by one worker process**: 0.5 times as good as Another. For a reason.",
    ]


@pytest.mark.parametrize(
    ("ratios", "expected"), [((0.84, 0.5, 0.9), ["0.84"]), ((0.5, 0.86, 0.9), [])]
)
def test_a_full_table_has_a_goal(
    results: Results, ratios: tuple[float, ...], expected: list[str]
) -> None:
    for ratio in ratios:
        results.add([Sample("seeded.life.50.ratio", ratio, details={"cpu": 1.25})])
    results.add([Sample("seeded.delivery.p99.ratio", 1.1)])
    lines = [line for line in behind(results) if "without" in line]
    assert [
        re.findall(r"\*: ([0-9.]+) of what it is without, 0.85", line)[0] for line in lines
    ] == expected
    least, _, most = sorted(ratios)
    _, *cells = row_of(page(results, "charts"), "Whole life, 50 connections")
    assert cells[1:] == [f"{least} to {most} (3)", "0.85", "1.25"]


def test_nodes_are_compared_with_peers_on_postgres(results: Results) -> None:
    ours = "Corvo on PostgreSQL, 1 node"
    for subject, value in ((ours, 500.0), ("BullMQ", 900.0), ("PgQueuer", 250.0)):
        results.add([Sample("peer.drain", value, subject)])
    row = row_of(page(results, "charts"), "drain by one worker process, jobs/s")
    assert row[1:] == ["500", "250 (PgQueuer)", "2"]


def test_omitted_measurements_have_a_reason(measured: Results) -> None:
    assert "- A third: it is not installed" in page(measured, "charts")


def test_every_placeholder_of_the_template_is_replaced(results: Results) -> None:
    assert not re.search(r"\{\w+\}", page(results, "charts"))


def test_metric_names_are_unique() -> None:
    assert all(name == metric.name for name, metric in BY_NAME.items())
    assert len({metric.title for metric in BY_NAME.values()}) > 20


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.12345, "0.123"), (1.0, "1"), (99.96, "100"), (123.4, "123"), (12_345.6, "12,300")],
)
def test_numbers_have_three_significant_digits(value: float, text: str) -> None:
    assert number(value) == text
