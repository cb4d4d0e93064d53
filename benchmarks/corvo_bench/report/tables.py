"""Markdown tables of metrics."""

from collections.abc import Callable, Iterable, Sequence

from corvo_bench.metrics import Metric
from corvo_bench.results import Results, Series

NONE = "-"
NOTHING = "Not measured in this run."


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose columns but the first are aligned to the right."""
    lines = [" | ".join(head), " | ".join(["---"] + ["---:"] * (len(head) - 1))]
    body = [" | ".join(row) for row in rows]
    if not body:
        return NOTHING
    return "\n".join(f"| {line} |" for line in (*lines, *body))


def metrics(results: Results, wanted: Iterable[Metric]) -> str:
    """Metrics with their spread, what they are to reach, and the CPU time of a job."""
    found = [(metric, results.find(metric.name)) for metric in wanted]
    return table(
        ("metric", "median", "spread (n)", "to reach", "beyond", "CPU per job"),
        [_row(metric, series) for metric, series in found if series is not None],
    )


def plain(results: Results, wanted: Iterable[Metric]) -> str:
    """Metrics with their spread."""
    found = [(metric, results.find(metric.name)) for metric in wanted]
    return table(
        ("metric", "median", "spread (n)"),
        [
            (metric.title, told(metric, series), spread(series))
            for metric, series in found
            if series is not None
        ],
    )


def matrix(
    results: Results,
    wanted: Sequence[Metric],
    subjects: Sequence[str],
    name: Callable[[str], str] = str,
) -> str:
    """A row for each subject, a column for each metric; the best of each column is bold."""
    rows = []
    for subject in subjects:
        cells = [name(subject)]
        for metric in wanted:
            series = results.find(metric.name, subject)
            if series is None:
                cells.append(NONE)
                continue
            is_best = series.median == _best(results, metric, subjects)
            text = f"**{number(series.median)}**" if is_best else number(series.median)
            cells.append(f"{text} ({spread(series, with_n=False)})")
        rows.append(cells)
    return table(("", *(metric.title for metric in wanted)), rows)


def told(metric: Metric, series: Series) -> str:
    """The median with its unit, and whether it reaches what it should."""
    text = f"{number(series.median)} {metric.unit}".rstrip()
    if metric.to_reach is None:
        return text
    return f"**{text}**" if reaches(metric, series.median, metric.to_reach) else f"{text} (behind)"


def reaches(metric: Metric, value: float, goal: float) -> bool:
    """Whether a value is as good as the goal."""
    return value >= goal if metric.is_more_better else value <= goal


def spread(series: Series, *, with_n: bool = True) -> str:
    """The least and the most, and of how many."""
    least, most = series.spread
    text = number(least) if least == most else f"{number(least)} to {number(most)}"
    return f"{text} ({len(series.values)})" if with_n else text


def number(value: float) -> str:
    """Three digits that count, thousands with commas."""
    if abs(value) >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"


def _row(metric: Metric, series: Series) -> tuple[str, ...]:
    cpu = series.detail("server_cpu_us")
    return (
        metric.title,
        told(metric, series),
        spread(series),
        "" if metric.to_reach is None else number(metric.to_reach),
        "" if metric.beyond is None else number(metric.beyond),
        "" if cpu is None else f"{number(cpu)} µs",
    )


def _best(results: Results, metric: Metric, subjects: Sequence[str]) -> float | None:
    found = (results.find(metric.name, subject) for subject in subjects)
    medians = [series.median for series in found if series is not None]
    if not medians:
        return None
    return max(medians) if metric.is_more_better else min(medians)
