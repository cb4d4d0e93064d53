import re
from pathlib import Path

import pytest

from corvo_bench.metrics import BY_NAME
from corvo_bench.report.behind import behind
from corvo_bench.report.page import chart_names, page
from corvo_bench.report.reasons import REASONS
from corvo_bench.report.tables import number
from corvo_bench.results import Results, Sample

ROOT = Path(__file__).parents[2]


def row_of(text: str, title: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {title} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_metric_has_median_spread_and_goals(measured: Results) -> None:
    row = row_of(page(measured, "charts"), "Enqueue, one request per job, 1 connection")
    assert row[1:] == ["**1,300 jobs/s**", "900 to 1,500 (3)", "1,200", "2,000", "130 µs"]


def test_a_metric_that_misses_its_goal_is_marked(results: Results) -> None:
    results.add([Sample("delivery.p99", 7.0), Sample("delivery.p50", 1.0)])
    text = page(results, "charts")
    assert row_of(text, "Enqueue to one of 200 idle long polls, p99")[1] == "7 ms (misses the goal)"
    assert row_of(text, "Enqueue to one of 200 idle long polls, p50")[1] == "**1 ms**"


def test_the_best_of_each_column_is_bold(measured: Results) -> None:
    text = page(measured, "charts")
    assert "**1,200**" in row_of(text, "Corvo")[1]
    assert "**" not in row_of(text, "Another")[1]
    assert "**1.2**" in "".join(row_of(text, "Corvo"))


def test_growth_is_the_last_point_by_the_first(measured: Results) -> None:
    text = page(measured, "charts")
    row = row_of(text, "Finished jobs in the table: enqueue, 50 connections")
    assert row[1:] == ["5,000 jobs/s at 0", "4,000 jobs/s at 1,000", "0.8", "-"]


def test_growth_measured_in_pairs_is_their_median(measured: Results) -> None:
    measured.add([Sample("by_finished.enqueue.ratio", value, x=1000) for value in (0.9, 1.0, 0.95)])
    row = row_of(page(measured, "charts"), "Finished jobs in the table: enqueue, 50 connections")
    assert row[-2:] == ["0.95", "0.9 to 1 (3)"]


def test_charts_are_linked_only_when_drawn(measured: Results) -> None:
    assert chart_names(measured) == ["by_finished"]
    assert re.findall(r"\(charts/(\w+)\.svg\)", page(measured, "charts")) == ["by_finished"]


def test_a_metric_below_its_goal_or_another_system_has_its_reason(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REASONS, "peer.drain", "For a reason.")
    results.add([Sample("delivery.p99", 7.0), Sample("delivery.p50", 1.0)])
    for metric, ours, theirs in (("serial", 9.0, 3.0), ("drain", 500.0, 1000.0)):
        results.add([Sample(f"peer.{metric}", ours), Sample(f"peer.{metric}", theirs, "Another")])
    assert list(behind(results)) == [
        "- **Enqueue to one of 200 idle long polls, p99**: 7 ms; the goal is 5 ms. "
        "The cause is not known yet.",
        "- **drain by one worker process**: Corvo 500 jobs/s, Another 1,000 jobs/s; ratio 0.5. "
        "For a reason.",
    ]


@pytest.mark.parametrize(
    ("ratios", "listed"), [((0.84, 0.5, 0.9), ["0.84"]), ((0.5, 0.86, 0.9), [])]
)
def test_the_ratio_of_a_full_to_an_empty_table_has_a_goal(
    results: Results, ratios: tuple[float, ...], listed: list[str]
) -> None:
    for ratio in ratios:
        results.add([Sample("seeded.life.50.ratio", ratio, details={"cpu": 1.25})])
    results.add([Sample("seeded.delivery.p99.ratio", 1.1)])
    lines = [line for line in behind(results) if "without" in line]
    assert [
        re.findall(r"ratio ([0-9.]+) to a server without them; the goal is 0.85", line)[0]
        for line in lines
    ] == listed
    lowest, _, highest = sorted(ratios)
    _, *cells = row_of(page(results, "charts"), "Enqueue, fetch and ack, 50 connections")
    assert cells[1:] == [f"{lowest} to {highest} (3)", "0.85", "1.25"]


def test_nodes_are_compared_with_systems_on_postgres_only(results: Results) -> None:
    ours = "Corvo on PostgreSQL, 1 node"
    for subject, value in ((ours, 500.0), ("BullMQ", 900.0), ("PgQueuer", 250.0)):
        results.add([Sample("peer.drain", value, subject)])
    row = row_of(page(results, "charts"), "drain by one worker process, jobs/s")
    assert row[1:] == ["500", "250 (PgQueuer)", "2"]


def test_the_systems_have_one_chart(measured: Results) -> None:
    measured.add([Sample("peer.steady", 5.0), Sample("peer.steady", 3.0, "Another")])
    assert chart_names(measured) == ["peers", "by_finished"]
    text = page(measured, "charts")
    assert text.index("charts/peers.svg") < text.index("## Run it yourself")


def test_a_remark_ends_its_section(measured: Results) -> None:
    measured.remarks |= {"growth": "The disk was busy.", "searches": "No search was run."}
    text = page(measured, "charts")
    assert re.search(r"\| 0\.8 \| - \|\n\nThe disk was busy\.\n", text)
    searches = text.partition("## Searches\n")[2].partition("## ")[0]
    assert searches.endswith("the total.\n\nNo search was run.\n\n")


def test_the_page_of_the_docs_shows_the_committed_baseline() -> None:
    """To update it: `nox -s bench -- --show benchmarks/baseline.json --docs`."""
    committed = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert committed == page(Results.load(ROOT / "benchmarks" / "baseline.json"), "benchmarks")


def test_an_omission_has_its_reason(measured: Results) -> None:
    assert "- A third: it is not installed" in page(measured, "charts")


def test_every_placeholder_of_the_template_is_filled(results: Results) -> None:
    assert not re.search(r"\{\w+\}", page(results, "charts"))


def test_every_metric_has_its_own_name() -> None:
    assert all(name == metric.name for name, metric in BY_NAME.items())
    assert len({metric.title for metric in BY_NAME.values()}) > 20


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.12345, "0.123"), (1.0, "1"), (99.96, "100"), (123.4, "123"), (12_345.6, "12,300")],
)
def test_numbers_have_three_significant_digits(value: float, text: str) -> None:
    assert number(value) == text
