"""Render the page: fill the template `page.md` with the results of a run."""

import itertools
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from corvo_bench import metrics
from corvo_bench.comparison.systems import ON_POSTGRES, SYSTEMS
from corvo_bench.metrics import Curve, Metric
from corvo_bench.report import tables
from corvo_bench.report.behind import behind, best_of_others
from corvo_bench.report.tables import number
from corvo_bench.results import CORVO, Results

_TEMPLATE = Path(__file__).with_name("page.md")
_SEARCHES = (
    Metric("searches.p50", "p50, ms", "ms", is_more_better=False),
    Metric("searches.p99", "p99, ms", "ms", is_more_better=False),
)


def page(results: Results, charts: str) -> str:
    """Return the page as Markdown.

    `charts` is the directory of the charts, relative to the page. A remark follows its section.
    """
    text = _TEMPLATE.read_text(encoding="utf-8")
    for name, make in _SECTIONS.items():
        section = make(results, charts)
        if name in results.remarks:
            parts = (section, results.remarks[name])
            section = "\n\n".join(part for part in parts if part != tables.NOTHING)
        text = text.replace(f"{{{name}}}", section)
    return text


def chart_names(results: Results) -> list[str]:
    """Return the names of the charts that have data, in the order of the page."""
    names = ["peers"] if results.subjects([metrics.PEERS_CHART.name]) else []
    names += [curve.name for curve in metrics.CURVES if _has(results, curve)]
    if results.curve("soak.memory"):
        names.append("soak")
    return names


def _has(results: Results, curve: Curve) -> bool:
    return any(results.curve(metric.name) for metric in curve.metrics)


def _machine(results: Results, _: str) -> str:
    machine = results.machine
    before, after = (machine.get(f"load_{when}", []) for when in ("before", "after"))
    fsync = results.find("ceiling.fsync")
    rows = [
        ("CPU", str(machine["cpu"])),
        ("cores", str(machine["cores"])),
        ("memory", f"{machine['memory_gb']} GiB"),
        ("kernel", str(machine["kernel"])),
        ("file system", str(machine["filesystem"])),
        ("fsync", tables.NONE if fsync is None else f"{number(fsync.median)} per second"),
        ("load average before, after", f"{_loads(before)}, {_loads(after)}"),
    ]
    return tables.table(("", ""), rows)


def _loads(values: list[float]) -> str:
    return f"{values[0]:.2f}" if values else tables.NONE


def _offered(results: Results, charts: str) -> str:
    curve = next(curve for curve in metrics.CURVES if curve.name == "offered")
    points = results.curve("offered.p50")
    rows = []
    for point in points:
        cells = [f"{point.x:,.0f}", number(point.detail("done_per_second") or 0)]
        for metric in curve.metrics:
            series = results.find(metric.name, x=point.x)
            cells.append(tables.NONE if series is None else number(series.median))
        cells.append(number(point.detail("generator_late_p99_ms") or 0))
        rows.append(cells)
    titles = (f"{metric.title}, ms" for metric in curve.metrics)
    head = ("offered per second", "done per second", *titles, "generator delay, p99, ms")
    return "\n\n".join([tables.table(head, rows), *_pictures(results, charts, ["offered"])])


def _curves(results: Results, charts: str) -> str:
    elsewhere = {"offered", "by_nodes"}
    names = [curve.name for curve in metrics.CURVES if curve.name not in elsewhere]
    return "\n\n".join(_pictures(results, charts, names)) or tables.NOTHING


def _nodes(results: Results, charts: str) -> str:
    rows = []
    for point in results.curve("by_nodes.enqueue"):
        life = results.find("by_nodes.life", x=point.x)
        cells = [f"{number(s.median)} ({tables.spread(s)})" for s in (point, life) if s]
        rows.append((f"{point.x:.0f}", *cells))
    life_title = "enqueue, fetch and ack, jobs/s, 50 connections"
    head = ("nodes", "enqueue, jobs/s, 50 connections", life_title)
    return "\n\n".join([tables.table(head, rows), *_pictures(results, charts, ["by_nodes"])])


def _growth(results: Results, _: str) -> str:
    rows = []
    for curve in metrics.CURVES:
        if curve.name in {"offered", "by_payload", "by_nodes"}:
            continue
        for metric in curve.metrics:
            points = results.curve(metric.name)
            if len(points) < 2:
                continue
            ends = points[0], points[-1]
            cells = [f"{number(end.median)} {metric.unit} at {end.x:,.0f}" for end in ends]
            of_pairs = results.find(f"{metric.name}.ratio", x=ends[1].x)
            ratio = ends[1].median / ends[0].median if of_pairs is None else of_pairs.median
            spread = tables.NONE if of_pairs is None else tables.spread(of_pairs)
            rows.append((f"{curve.title}: {metric.title}", *cells, number(ratio), spread))
    return tables.table(("", "first", "last", "ratio", "range of pairs (n)"), rows)


def _soak(results: Results, charts: str) -> str:
    memory, file = (results.curve(f"soak.{name}") for name in ("memory", "file"))
    rates = results.curve("soak.rate")
    if not memory:
        return tables.NOTHING
    middle = len(memory) // 2
    lives = sum(
        point.median * ((point.x or 0) - (before.x or 0))
        for before, point in itertools.pairwise(rates)
    )
    summary = (
        f"For {memory[-1].x or 0:,.0f} seconds, 4 connections enqueue, fetch and ack jobs, 100 per "
        f"request: about {number(lives)} jobs. The server keeps finished jobs for a tenth of that "
        "time.\n\nAfter half of the time, the server uses "
        f"{number(memory[middle].median)} MB of memory and its file has "
        f"{number(file[middle].median)} MB. At the end, the values are "
        f"{number(memory[-1].median)} MB and {number(file[-1].median)} MB."
    )
    return "\n\n".join([summary, *_pictures(results, charts, ["soak"])])


def _pictures(results: Results, charts: str, wanted: list[str]) -> list[str]:
    titles = {curve.name: curve.title for curve in metrics.CURVES}
    titles |= {"peers": metrics.PEERS_CHART_TITLE, "soak": "Soak"}
    drawn = [name for name in chart_names(results) if name in wanted]
    return [f"![{titles[name]}]({charts}/{name}.svg)" for name in drawn]


def _peers(results: Results, _: str) -> str:
    subjects = results.subjects(metric.name for metric in metrics.PEERS)
    return tables.matrix(results, metrics.PEERS, subjects)


def _peers_chart(results: Results, charts: str) -> str:
    return "\n\n".join(_pictures(results, charts, ["peers"])) or tables.NOTHING


def _peer_ratios(results: Results, _: str) -> str:
    return "\n\n".join(_ratios(results, CORVO, None)) or tables.NOTHING


def _peers_on_postgres(results: Results, _: str) -> str:
    among = {peer.name for peer in SYSTEMS if peer.backend == "postgres"}
    parts = itertools.chain.from_iterable(
        _ratios(results, ours.name, among) for ours in ON_POSTGRES
    )
    return "\n\n".join(parts) or tables.NOTHING


def _ratios(results: Results, ours: str, among: Collection[str] | None) -> Iterator[str]:
    """Yield a table of `ours` beside the best other system, if any was measured."""
    rows = []
    for metric in metrics.PEERS:
        own, best = results.find(metric.name, ours), best_of_others(results, metric, ours, among)
        if own is not None and best is not None:
            cells = (number(own.median), f"{number(best.value)} ({best.name})", number(best.ratio))
            rows.append((f"{metric.title}, {metric.unit}", *cells))
    if rows:
        yield tables.table(("", ours, "best other system", "ratio"), rows)


def _behind(results: Results, _: str) -> str:
    return "\n".join(behind(results)) or "No metric of this run."


def _peer_settings(results: Results, _: str) -> str:
    rows = [(name, note) for name, note in results.notes.items()]
    return "\n".join(f"- **{name}**: {note}" for name, note in rows)


def _searches(results: Results, _: str) -> str:
    rows = []
    for subject in results.subjects(["searches.p50"]):
        found = [results.find(metric.name, subject) for metric in _SEARCHES]
        rows.append((subject, *(number(s.median) if s else tables.NONE for s in found)))
    return tables.table(("", *(metric.title for metric in _SEARCHES)), rows)


def _omissions(results: Results, _: str) -> str:
    lines = [f"- {omission.subject}: {omission.reason}" for omission in results.omissions]
    return "\n".join(lines) or "No selected scenario was left out."


def _versions(results: Results, _: str) -> str:
    return ", ".join(f"{name} {version}" for name, version in results.versions.items()) + "."


def _jobs(setting: str) -> Callable[[Results, str], str]:
    """Return a section that is the number of jobs of a setting."""
    return lambda results, _: f"{results.settings.get(setting, 0):,}"


def _seeded(results: Results, _: str) -> str:
    return tables.metrics(results, metrics.SEEDED)


def _with_jobs(results: Results, _: str) -> str:
    rows = []
    for metric in metrics.WITH_JOBS:
        series = results.find(metric.name)
        if series is not None:
            goal = "" if metric.to_reach is None else number(metric.to_reach)
            cpu = series.detail("cpu")
            rows.append(
                (
                    metric.title,
                    tables.median_of(metric, series),
                    tables.spread(series),
                    goal,
                    "" if cpu is None else number(cpu),
                )
            )
    head = ("metric", "ratio, with to without", "range (n)", "goal", "ratio of CPU per job")
    return tables.table(head, rows)


_OTHERS = (*metrics.THROUGH, *metrics.BULK, *metrics.GROUP_COMMIT)
_SECTIONS: dict[str, Callable[[Results, str], str]] = {
    "when": lambda results, _: results.when,
    "machine": _machine,
    "ceilings": lambda results, _: tables.plain(results, metrics.CEILINGS),
    "table": lambda results, _: tables.metrics(results, metrics.TABLE),
    "seed_jobs": _jobs("seed_jobs"),
    "through_jobs": _jobs("through_jobs"),
    "bulk_jobs": _jobs("bulk_jobs"),
    "seeded": _seeded,
    "with_jobs": _with_jobs,
    "others": lambda results, _: tables.metrics(results, _OTHERS),
    "offered": _offered,
    "nodes": _nodes,
    "growth": _growth,
    "curves": _curves,
    "soak": _soak,
    "peers": _peers,
    "peers_chart": _peers_chart,
    "peer_ratios": _peer_ratios,
    "peers_on_postgres": _peers_on_postgres,
    "behind": _behind,
    "peer_settings": _peer_settings,
    "searches": _searches,
    "omissions": _omissions,
    "versions": _versions,
}
