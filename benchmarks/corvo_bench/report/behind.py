"""What a run shows Corvo to be behind in: goals of its own, and the best of the others."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from corvo_bench import figures
from corvo_bench.figures import Figure
from corvo_bench.report.reasons import REASONS
from corvo_bench.report.tables import number, reaches
from corvo_bench.results import CORVO, Results

_UNEXPLAINED = "Not explained yet."


class Best(NamedTuple):
    """The best of the others at one figure. `ratio` is how many times as good we are."""

    name: str
    value: float
    ratio: float


def best_of_others(
    results: Results, figure: Figure, ours: str = CORVO, among: Collection[str] | None = None
) -> Best | None:
    """Who does best at a figure besides Corvo, of those in `among`; None if nobody was measured."""
    own = results.find(figure.name, ours)
    medians = {
        subject: series.median
        for subject in results.subjects([figure.name])
        if not subject.startswith(CORVO)
        and (among is None or subject in among)
        and (series := results.find(figure.name, subject)) is not None
    }
    if own is None or not medians:
        return None
    name = (max if figure.is_more_better else min)(medians, key=lambda name: medians[name])
    ratio = own.median / medians[name]
    return Best(name, medians[name], ratio if figure.is_more_better else 1 / ratio)


def behind(results: Results) -> Iterator[str]:
    """A sentence or two for each figure that is behind."""
    for figure in (*figures.TABLE, *figures.SEEDED, *figures.THROUGH):
        series = results.find(figure.name)
        if series is None or figure.to_reach is None:
            continue
        if not reaches(figure, series.median, figure.to_reach):
            told = f"{number(series.median)} {figure.unit}, {number(figure.to_reach)} to reach"
            yield _told(figure, told)
    for figure in figures.WITH_JOBS:
        series = results.find(figure.name)
        if series and figure.to_reach and not reaches(figure, series.median, figure.to_reach):
            goal = number(figure.to_reach)
            told = f"{number(series.median)} of what it is without, {goal} to reach"
            yield f"- **{figure.title}, with {results.settings['seed_jobs']:,} jobs**: {told}."
    for figure in figures.PEERS:
        best = best_of_others(results, figure)
        if best is not None and best.ratio < 1:
            yield _told(figure, f"{number(best.ratio)} times as good as {best.name}")


def _told(figure: Figure, text: str) -> str:
    return f"- **{figure.title}**: {text}. {REASONS.get(figure.name, _UNEXPLAINED)}"
