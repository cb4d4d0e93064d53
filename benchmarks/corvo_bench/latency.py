"""Record latencies in an HDR histogram: 1 µs to 10 minutes, three significant digits."""

from collections.abc import Iterable
from typing import Self

from hdrh.histogram import HdrHistogram

_LOWEST_US = 1
_HIGHEST_US = 600_000_000
_DIGITS = 3


class Latencies:
    """A histogram of latencies. They are recorded in seconds and returned in ms."""

    def __init__(self, seconds: Iterable[float] = ()) -> None:
        self._histogram = HdrHistogram(_LOWEST_US, _HIGHEST_US, _DIGITS)
        for value in seconds:
            self.record(value)

    def record(self, seconds: float) -> None:
        """Record one latency."""
        us = min(max(round(seconds * 1e6), _LOWEST_US), _HIGHEST_US)
        self._histogram.record_value(us)

    def percentile(self, percent: float) -> float:
        """Return a percentile in ms. Raises ValueError if nothing was recorded."""
        if not len(self):
            raise ValueError("no latency was recorded")
        return float(self._histogram.get_value_at_percentile(percent)) / 1000

    @property
    def longest(self) -> float:
        """Longest latency in ms."""
        return self.percentile(100)

    def __len__(self) -> int:
        return int(self._histogram.get_total_count())

    def merge(self, other: Self) -> None:
        """Add the latencies of `other`."""
        self._histogram.add(other._histogram)

    def __getstate__(self) -> bytes:
        encoded: bytes = self._histogram.encode()
        return encoded

    def __setstate__(self, state: bytes) -> None:
        self._histogram = HdrHistogram.decode(state)
