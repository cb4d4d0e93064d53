"""Measured values over time, and whether they grow."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, linear_regression


@dataclass
class Curve:
    """What is measured again and again: points of seconds and values, in the order of time."""

    name: str
    unit: str
    most: float
    """Maximum growth within the second half, as a part of the mean."""
    slack: float = 0.0
    """Growth by so much is always allowed, in `unit`."""
    points: list[tuple[float, float]] = field(default_factory=list)

    @property
    def second_half(self) -> list[tuple[float, float]]:
        """The points after half of the time."""
        return [point for point in self.points if point[0] * 2 >= self.points[-1][0]]


@dataclass(frozen=True)
class Fit:
    """A line through the second half of a curve."""

    seconds: float
    mean: float
    growth: float
    """How much higher the line ends than it begins."""
    limit: float
    """The largest allowed growth."""

    @property
    def is_flat(self) -> bool:
        """Whether the curve grows no more than allowed."""
        return self.growth <= self.limit


def fit(curve: Curve) -> Fit:
    """Return the line through the second half of a curve, which needs at least two points."""
    times, values = zip(*curve.second_half, strict=True)
    slope = linear_regression(times, values).slope
    seconds = times[-1] - times[0]
    mean = fmean(values)
    return Fit(seconds, mean, slope * seconds, max(curve.most * mean, curve.slack))


def sentence(curve: Curve) -> str:
    """Return what the second half of a curve shows."""
    line = fit(curve)
    found = "flat" if line.is_flat else "GROWS"
    return (
        f"{curve.name}: {found}; mean {line.mean:.4g} {curve.unit}, change {line.growth:+.4g} "
        f"{curve.unit} in {line.seconds:.0f} s, allowed {line.limit:.4g}"
    )


def growing(curves: Sequence[Curve]) -> list[str]:
    """Return a sentence for each curve that grows more than allowed."""
    return [sentence(curve) for curve in curves if not fit(curve).is_flat]
