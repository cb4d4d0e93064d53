"""List the metrics of a run that miss their goal or are worse than those of another system."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from corvo_bench import metrics
from corvo_bench.metrics import Metric
from corvo_bench.report.reasons import REASONS
from corvo_bench.report.tables import number, reaches
from corvo_bench.results import CORVO, Results

_UNEXPLAINED = "The cause is not known yet."


class Best(NamedTuple):
    """The best other system at one metric. If `ratio` is above 1, Corvo is better."""

    name: str
    value: float
    ratio: float


def best_of_others(
    results: Results, metric: Metric, ours: str = CORVO, among: Collection[str] | None = None
) -> Best | None:
    """Return the best system at a metric other than Corvo; None if none was measured.

    `among` limits the systems that count.
    """
    own = results.find(metric.name, ours)
    medians = {
        subject: series.median
        for subject in results.subjects([metric.name])
        if not subject.startswith(CORVO)
        and (among is None or subject in among)
        and (series := results.find(metric.name, subject)) is not None
    }
    if own is None or not medians:
        return None
    name = (max if metric.is_more_better else min)(medians, key=lambda name: medians[name])
    ratio = own.median / medians[name]
    return Best(name, medians[name], ratio if metric.is_more_better else 1 / ratio)


def behind(results: Results) -> Iterator[str]:
    """Yield a Markdown list item for each metric below its goal or below another system."""
    for metric in (*metrics.TABLE, *metrics.SEEDED, *metrics.THROUGH):
        series = results.find(metric.name)
        if series is None or metric.to_reach is None:
            continue
        if not reaches(metric, series.median, metric.to_reach):
            value, goal = number(series.median), number(metric.to_reach)
            yield _item(metric, f"{value} {metric.unit}; the goal is {goal} {metric.unit}")
    for metric in metrics.WITH_JOBS:
        series = results.find(metric.name)
        if series and metric.to_reach and not reaches(metric, series.median, metric.to_reach):
            value, goal = number(series.median), number(metric.to_reach)
            jobs = f"{results.settings['seed_jobs']:,} jobs"
            text = f"ratio {value} to a server without them; the goal is {goal}"
            yield f"- **{metric.title}, with {jobs}**: {text}."
    for metric in metrics.PEERS:
        own, best = results.find(metric.name), best_of_others(results, metric)
        if own is not None and best is not None and best.ratio < 1:
            ours = f"{CORVO} {number(own.median)} {metric.unit}"
            other = f"{best.name} {number(best.value)} {metric.unit}"
            yield _item(metric, f"{ours}, {other}; ratio {number(best.ratio)}")


def _item(metric: Metric, text: str) -> str:
    return f"- **{metric.title}**: {text}. {REASONS.get(metric.name, _UNEXPLAINED)}"
