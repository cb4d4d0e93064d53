"""What a run shows Corvo to be behind in: goals of its own, and the best of the others."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from corvo_bench import metrics
from corvo_bench.metrics import Metric
from corvo_bench.report.reasons import REASONS
from corvo_bench.report.tables import number, reaches
from corvo_bench.results import CORVO, Results

_UNEXPLAINED = "Not explained yet."


class Best(NamedTuple):
    """The best of the others at one metric. `ratio` is how many times as good we are."""

    name: str
    value: float
    ratio: float


def best_of_others(
    results: Results, metric: Metric, ours: str = CORVO, among: Collection[str] | None = None
) -> Best | None:
    """Who does best at a metric besides Corvo, of those in `among`; None if nobody was measured."""
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
    """A sentence or two for each metric that is behind."""
    for metric in (*metrics.TABLE, *metrics.SEEDED, *metrics.THROUGH):
        series = results.find(metric.name)
        if series is None or metric.to_reach is None:
            continue
        if not reaches(metric, series.median, metric.to_reach):
            told = f"{number(series.median)} {metric.unit}, {number(metric.to_reach)} to reach"
            yield _told(metric, told)
    for metric in metrics.WITH_JOBS:
        series = results.find(metric.name)
        if series and metric.to_reach and not reaches(metric, series.median, metric.to_reach):
            goal = number(metric.to_reach)
            told = f"{number(series.median)} of what it is without, {goal} to reach"
            yield f"- **{metric.title}, with {results.settings['seed_jobs']:,} jobs**: {told}."
    for metric in metrics.PEERS:
        best = best_of_others(results, metric)
        if best is not None and best.ratio < 1:
            yield _told(metric, f"{number(best.ratio)} times as good as {best.name}")


def _told(metric: Metric, text: str) -> str:
    return f"- **{metric.title}**: {text}. {REASONS.get(metric.name, _UNEXPLAINED)}"
