"""Markdown tables of figures."""

from collections.abc import Callable, Iterable, Sequence

from corvo_bench.figures import Figure
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


def figures(results: Results, wanted: Iterable[Figure]) -> str:
    """Figures with their spread, what they are to reach, and the CPU time of a job."""
    found = [(figure, results.find(figure.name)) for figure in wanted]
    return table(
        ("figure", "median", "spread (n)", "to reach", "beyond", "CPU per job"),
        [_row(figure, series) for figure, series in found if series is not None],
    )


def plain(results: Results, wanted: Iterable[Figure]) -> str:
    """Figures with their spread."""
    found = [(figure, results.find(figure.name)) for figure in wanted]
    return table(
        ("figure", "median", "spread (n)"),
        [
            (figure.title, told(figure, series), spread(series))
            for figure, series in found
            if series is not None
        ],
    )


def matrix(
    results: Results,
    wanted: Sequence[Figure],
    subjects: Sequence[str],
    name: Callable[[str], str] = str,
) -> str:
    """A row for each subject, a column for each figure; the best of each column is bold."""
    rows = []
    for subject in subjects:
        cells = [name(subject)]
        for figure in wanted:
            series = results.find(figure.name, subject)
            if series is None:
                cells.append(NONE)
                continue
            is_best = series.median == _best(results, figure, subjects)
            text = f"**{number(series.median)}**" if is_best else number(series.median)
            cells.append(f"{text} ({spread(series, with_n=False)})")
        rows.append(cells)
    return table(("", *(figure.title for figure in wanted)), rows)


def told(figure: Figure, series: Series) -> str:
    """The median with its unit, and whether it reaches what it should."""
    text = f"{number(series.median)} {figure.unit}".rstrip()
    if figure.to_reach is None:
        return text
    return f"**{text}**" if reaches(figure, series.median, figure.to_reach) else f"{text} (behind)"


def reaches(figure: Figure, value: float, goal: float) -> bool:
    """Whether a value is as good as the goal."""
    return value >= goal if figure.is_more_better else value <= goal


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


def _row(figure: Figure, series: Series) -> tuple[str, ...]:
    cpu = series.detail("server_cpu_us")
    return (
        figure.title,
        told(figure, series),
        spread(series),
        "" if figure.to_reach is None else number(figure.to_reach),
        "" if figure.beyond is None else number(figure.beyond),
        "" if cpu is None else f"{number(cpu)} µs",
    )


def _best(results: Results, figure: Figure, subjects: Sequence[str]) -> float | None:
    found = (results.find(figure.name, subject) for subject in subjects)
    medians = [series.median for series in found if series is not None]
    if not medians:
        return None
    return max(medians) if figure.is_more_better else min(medians)
