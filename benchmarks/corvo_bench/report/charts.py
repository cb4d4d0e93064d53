"""Draw the charts of a run as SVG files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure as Picture

from corvo_bench import metrics
from corvo_bench.metrics import Curve
from corvo_bench.report.page import chart_names
from corvo_bench.results import CORVO, Results, Series

mpl.use("svg")
# A fixed salt, so that the same results give the same bytes.
mpl.rcParams["svg.hashsalt"] = "corvo"
mpl.rcParams["svg.fonttype"] = "none"
_METADATA = {"Date": None, "Creator": None}
_SIZE = (7.5, 3.2)


def draw(results: Results, directory: Path) -> None:
    """Draw every chart that has data into `directory`, which is created if it is missing."""
    directory.mkdir(parents=True, exist_ok=True)
    curves = {curve.name: curve for curve in metrics.CURVES}
    special = {"soak": _soak, "peers": _peers}
    for name in chart_names(results):
        make = special.get(name)
        picture = _curve(results, curves[name]) if make is None else make(results)
        picture.savefig(directory / f"{name}.svg", metadata=_METADATA)


def _curve(results: Results, curve: Curve) -> Picture:
    """Draw all metrics of a curve: medians as a line, ranges as a band."""
    picture = Picture(figsize=_SIZE, layout="constrained")
    axes = picture.add_subplot()
    for metric in curve.metrics:
        points = results.curve(metric.name)
        if points:
            _line(axes, points, metric.title)
    axes.set_title(curve.title, fontsize=10)
    axes.set_xlabel(curve.axis)
    axes.set_ylabel(curve.metrics[0].unit)
    if curve.is_log_x:
        axes.set_xscale("log")
    if curve.is_log_y:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    _finish(axes)
    return picture


def _soak(results: Results) -> Picture:
    """Draw each metric of the soak in its own strip, over the same time."""
    picture = Picture(figsize=(_SIZE[0], 7.0), layout="constrained")
    strips: Sequence[Any] = picture.subplots(len(metrics.SOAK), 1, sharex=True)
    for axes, metric in zip(strips, metrics.SOAK, strict=True):
        points = results.curve(metric.name)
        axes.plot([point.x for point in points], [point.median for point in points])
        axes.set_title(metric.title, fontsize=10)
        axes.set_ylabel(metric.unit)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    strips[-1].set_xlabel("seconds")
    return picture


def _peers(results: Results) -> Picture:
    """Draw one bar for each system: its median, with the range as an error bar."""
    metric = metrics.PEERS_CHART
    found = (results.find(metric.name, subject) for subject in results.subjects([metric.name]))
    bars = sorted((series for series in found if series), key=lambda series: series.median)
    medians = [series.median for series in bars]
    errors = [
        [series.median - series.spread[0] for series in bars],
        [series.spread[1] - series.median for series in bars],
    ]
    colors = ["C0" if series.subject.startswith(CORVO) else "C7" for series in bars]
    picture = Picture(figsize=(_SIZE[0], 0.8 + 0.25 * len(bars)), layout="constrained")
    axes = picture.add_subplot()
    names = [series.subject for series in bars]
    axes.barh(names, medians, xerr=errors, color=colors, error_kw={"elinewidth": 1})
    axes.set_title(metrics.PEERS_CHART_TITLE, fontsize=10)
    axes.set_xlabel(metric.unit)
    axes.grid(alpha=0.3, axis="x")
    return picture


def _line(axes: Any, points: Sequence[Series], label: str) -> None:
    xs = [point.x for point in points]
    axes.plot(xs, [point.median for point in points], marker="o", markersize=3, label=label)
    lows, highs = zip(*(point.spread for point in points), strict=True)
    axes.fill_between(xs, lows, highs, alpha=0.2)


def _finish(axes: Any) -> None:
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
