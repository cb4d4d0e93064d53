"""Samples, the series that collect them, and the results of a run as JSON."""

import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

FORMAT = 1
CORVO = "Corvo"

Key = tuple[str, str, float | None]


class BenchmarkError(Exception):
    """Raised when a measurement is invalid: an error answer, or lost or doubled jobs."""


class NotRun(Exception):
    """Raised with the reason when this machine cannot take a measurement."""


@dataclass(frozen=True)
class Sample:
    """One value of a metric, from one round.

    `x` is the position on a curve, in the unit of its axis; None outside of curves. `details` are
    further values by name with unit, such as `server_cpu_us`.
    """

    metric: str
    value: float
    subject: str = CORVO
    x: float | None = None
    details: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Series:
    """All values of one metric for one subject and `x`, in the order of measurement."""

    metric: str
    subject: str
    x: float | None
    values: list[float]
    details: dict[str, list[float]] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """Median of the values."""
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """Lowest and highest value."""
        return min(self.values), max(self.values)

    def detail(self, name: str) -> float | None:
        """Return the median of a detail; None if it was not measured."""
        values = self.details.get(name)
        return statistics.median(values) if values else None


@dataclass(frozen=True)
class Omission:
    """A metric or a subject that was not measured, and the reason."""

    subject: str
    reason: str


@dataclass
class Results:
    """A run: its date, machine, versions, settings and all values."""

    when: str
    machine: dict[str, Any]
    versions: dict[str, str]
    settings: dict[str, Any]
    series: list[Series] = field(default_factory=list)
    omissions: list[Omission] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    """Version and settings of each system, by name."""
    remarks: dict[str, str] = field(default_factory=dict)
    """Markdown that a person added to sections of the report, by name of the section."""

    def add(self, samples: Iterable[Sample]) -> None:
        """Add samples to their series, which are created if they are missing."""
        known = {_key(series): series for series in self.series}
        for sample in samples:
            key = (sample.metric, sample.subject, sample.x)
            if key not in known:
                known[key] = Series(*key, [])
                self.series.append(known[key])
            known[key].values.append(sample.value)
            for name, value in sample.details.items():
                known[key].details.setdefault(name, []).append(value)

    def omit(self, subject: str, reason: str) -> None:
        """Record that a subject was not measured. The same omission is recorded once."""
        omission = Omission(subject, reason)
        if omission not in self.omissions:
            self.omissions.append(omission)

    def find(self, metric: str, subject: str = CORVO, x: float | None = None) -> Series | None:
        """Return the series of a metric; None if it was not measured."""
        for series in self.series:
            if _key(series) == (metric, subject, x):
                return series
        return None

    def curve(self, metric: str, subject: str = CORVO) -> list[Series]:
        """Return the series of a metric on a curve, sorted by `x`."""
        chosen = [s for s in self.series if (s.metric, s.subject) == (metric, subject)]
        return sorted((s for s in chosen if s.x is not None), key=lambda s: s.x or 0.0)

    def subjects(self, metrics: Iterable[str]) -> list[str]:
        """Return the subjects with a value of any of the metrics, in the order of measurement."""
        wanted = set(metrics)
        return list(dict.fromkeys(s.subject for s in self.series if s.metric in wanted))

    def save(self, path: Path) -> None:
        """Write the results to a JSON file; floats get five significant digits."""
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"format": FORMAT, **_rounded(asdict(self))}, indent=1)
        path.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file that `save` wrote. Raises ValueError if it has another format."""
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.pop("format", None) != FORMAT:
            raise ValueError(f"{path} does not have format {FORMAT}; measure again")
        # Older files name this field `figure`.
        series = [
            Series(
                **{"metric" if name == "figure" else name: value for name, value in item.items()}
            )
            for item in data.pop("series")
        ]
        omissions = [Omission(**item) for item in data.pop("omissions")]
        return cls(series=series, omissions=omissions, **data)


def _key(series: Series) -> Key:
    return series.metric, series.subject, series.x


def _rounded(value: Any) -> Any:
    """Round floats to five significant digits, because further digits are noise."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return value
