"""Compare a run with an earlier one, by ratios that are corrected for the speed of the machine."""

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
"""Setting that metrics depend on, by prefix of their names. Runs are compared if it is equal."""

WORSE = 0.85
"""Scaled ratio below which a change is marked. Smaller changes can be noise."""


@dataclass(frozen=True)
class Change:
    """The values of one metric in both runs. `raw` and `scaled` are above 1 if it improved.

    `scaled` is `raw` divided by the change of the reference between the runs. It equals `raw` for
    a metric without a reference.
    """

    metric: Metric
    subject: str
    x: float | None
    before: float
    now: float
    raw: float
    scaled: float


def changes(before: Results, now: Results) -> list[Change]:
    """Return the change of each metric that both runs measured, except ceilings and soak."""
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


def changes_table(before: Results, now: Results) -> str:
    """Return the changes as a Markdown table, the worst first."""
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
    return table(("metric", "system", "before", "now", "ratio", "scaled ratio"), rows)
