"""What was measured: samples, gathered into series, and a run's results as JSON."""

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
    """A measurement that is worth nothing: an error answer, or a job too many or too few."""


class NotRun(Exception):
    """A measurement that cannot be taken on this machine, with the reason."""


@dataclass(frozen=True)
class Sample:
    """One value of a metric, from one round.

    `x` is where on a curve it lies, in the unit of the curve's axis. `details` are further values
    that explain it, by name with unit, such as `server_cpu_us`.
    """

    metric: str
    value: float
    subject: str = CORVO
    x: float | None = None
    details: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Series:
    """All values of one metric at one place, in the order in which they were measured."""

    metric: str
    subject: str
    x: float | None
    values: list[float]
    details: dict[str, list[float]] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """The middle of the values."""
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the most of the values."""
        return min(self.values), max(self.values)

    def detail(self, name: str) -> float | None:
        """The median of a detail, if it was measured."""
        values = self.details.get(name)
        return statistics.median(values) if values else None


@dataclass(frozen=True)
class Omission:
    """A metric or a subject that was not measured, and why."""

    subject: str
    reason: str


@dataclass
class Results:
    """A run: when, where, with what, and all that it measured."""

    when: str
    machine: dict[str, Any]
    versions: dict[str, str]
    settings: dict[str, Any]
    series: list[Series] = field(default_factory=list)
    omissions: list[Omission] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)

    def add(self, samples: Iterable[Sample]) -> None:
        """Put samples of one more round to their series."""
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
        """Remember, once, that something was not measured."""
        omission = Omission(subject, reason)
        if omission not in self.omissions:
            self.omissions.append(omission)

    def find(self, metric: str, subject: str = CORVO, x: float | None = None) -> Series | None:
        """The series of a metric, if it was measured."""
        for series in self.series:
            if _key(series) == (metric, subject, x):
                return series
        return None

    def curve(self, metric: str, subject: str = CORVO) -> list[Series]:
        """The series of a metric along its axis."""
        chosen = [s for s in self.series if (s.metric, s.subject) == (metric, subject)]
        return sorted((s for s in chosen if s.x is not None), key=lambda s: s.x or 0.0)

    def subjects(self, metrics: Iterable[str]) -> list[str]:
        """Who has a value in any of the metrics, in the order in which they were measured."""
        wanted = set(metrics)
        return list(dict.fromkeys(s.subject for s in self.series if s.metric in wanted))

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"format": FORMAT, **_rounded(asdict(self))}, indent=1)
        path.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote. Raises ValueError for another format."""
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.pop("format", None) != FORMAT:
            raise ValueError(f"{path} is of another format than {FORMAT}: measure it again")
        # Older files, such as `baseline.json`, call a metric `figure`.
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
    """Five significant digits: more would only be noise in the file."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return value
