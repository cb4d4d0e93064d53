"""Format metrics as Markdown tables."""

from collections.abc import Callable, Iterable, Sequence

from corvo_bench.metrics import Metric
from corvo_bench.results import Results, Series

NONE = "-"
NOTHING = "Not measured in this run."


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table with all columns but the first aligned right; `NOTHING` without rows."""
    lines = [" | ".join(head), " | ".join(["---"] + ["---:"] * (len(head) - 1))]
    body = [" | ".join(row) for row in rows]
    if not body:
        return NOTHING
    return "\n".join(f"| {line} |" for line in (*lines, *body))


def metrics(results: Results, wanted: Iterable[Metric]) -> str:
    """Return a table with median, range, goals and CPU time per job of each measured metric."""
    found = [(metric, results.find(metric.name)) for metric in wanted]
    return table(
        ("metric", "median", "range (n)", "goal", "stretch goal", "CPU per job"),
        [_row(metric, series) for metric, series in found if series is not None],
    )


def plain(results: Results, wanted: Iterable[Metric]) -> str:
    """Return a table with median and range of each measured metric."""
    found = [(metric, results.find(metric.name)) for metric in wanted]
    return table(
        ("metric", "median", "range (n)"),
        [
            (metric.title, median_of(metric, series), spread(series))
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
    """Return a table with a row for each subject and a column for each metric.

    The best median of each column is bold. `name` formats the subjects.
    """
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


def median_of(metric: Metric, series: Series) -> str:
    """Return the median with its unit: bold if it reaches its goal, marked if it does not."""
    text = f"{number(series.median)} {metric.unit}".rstrip()
    if metric.to_reach is None:
        return text
    is_good = reaches(metric, series.median, metric.to_reach)
    return f"**{text}**" if is_good else f"{text} (misses the goal)"


def reaches(metric: Metric, value: float, goal: float) -> bool:
    """Return whether a value is at least as good as the goal."""
    return value >= goal if metric.is_more_better else value <= goal


def spread(series: Series, *, with_n: bool = True) -> str:
    """Return the lowest and the highest value, `with_n` followed by the number of values."""
    lowest, highest = series.spread
    text = number(lowest) if lowest == highest else f"{number(lowest)} to {number(highest)}"
    return f"{text} ({len(series.values)})" if with_n else text


def number(value: float) -> str:
    """Format a value with three significant digits and thousands separators."""
    if abs(value) >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"


def _row(metric: Metric, series: Series) -> tuple[str, ...]:
    cpu = series.detail("server_cpu_us")
    return (
        metric.title,
        median_of(metric, series),
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
