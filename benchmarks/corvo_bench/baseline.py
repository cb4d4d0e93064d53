"""A run against an earlier one, as ratios that the machine's own speed is taken out of."""

from dataclasses import dataclass

from corvo_bench.metrics import BY_NAME, Metric
from corvo_bench.report.tables import number, table
from corvo_bench.results import Results, Series

SIZES = {
    "seeded.": "seed_jobs",
    "queues.": "seed_jobs",
    "search.": "seed_jobs",
    "start": "seed_jobs",
    "memory.seeded": "seed_jobs",
    "memory.through": "through_jobs",
    "bulk.": "bulk_jobs",
    "peer.": "peer_drain",
}
"""The metrics, by how their names begin, that depend on a setting: only its like is compared."""

WORSE = 0.85
"""Below it, a change is pointed out; noise alone makes about as much."""


@dataclass(frozen=True)
class Change:
    """One metric then and now. `raw` and `scaled` are above 1 when it got better.

    `scaled` is what is left when the change of the reference, measured in the same runs, is taken
    out; it is `raw` for a metric without one.
    """

    metric: Metric
    subject: str
    x: float | None
    before: float
    now: float
    raw: float
    scaled: float


def changes(before: Results, now: Results) -> list[Change]:
    """All metrics that both runs have, except for the references themselves."""
    found = []
    for series in now.series:
        metric = BY_NAME.get(series.metric)
        earlier = before.find(series.metric, series.subject, series.x)
        if metric is None or earlier is None or series.metric.startswith(("ceiling.", "soak.")):
            continue
        if any(
            before.settings.get(setting) != now.settings.get(setting)
            for beginning, setting in SIZES.items()
            if series.metric.startswith(beginning)
        ):
            continue
        found.append(_change(metric, earlier, series, before, now))
    return found


def _change(
    metric: Metric, earlier: Series, series: Series, before: Results, now: Results
) -> Change:
    raw = series.median / earlier.median
    if not metric.is_more_better:
        raw = 1 / raw
    scaled = raw
    if metric.reference is not None:
        then, today = (run.find(metric.reference) for run in (before, now))
        if then is not None and today is not None:
            scaled = raw * then.median / today.median
    return Change(metric, series.subject, series.x, earlier.median, series.median, raw, scaled)


def told(before: Results, now: Results) -> str:
    """The changes as a table, the worst first."""
    rows = []
    for change in sorted(changes(before, now), key=lambda change: change.scaled):
        name = change.metric.name
        if change.x is not None:
            name += f" at {change.x:,g}"
        rows.append(
            (
                f"{name} {'⚠' if change.scaled < WORSE else ''}".strip(),
                change.subject,
                f"{number(change.before)} {change.metric.unit}",
                f"{number(change.now)} {change.metric.unit}",
                f"{change.raw:.2f}",
                f"{change.scaled:.2f}",
            )
        )
    return table(("metric", "of", "before", "now", "ratio", "by the machine"), rows)
