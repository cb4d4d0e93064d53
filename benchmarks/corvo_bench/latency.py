"""Latencies in an HDR histogram: from a microsecond to ten minutes, three significant digits."""

from collections.abc import Iterable
from typing import Self

from hdrh.histogram import HdrHistogram

_LOWEST_US = 1
_HIGHEST_US = 600_000_000
_DIGITS = 3


class Latencies:
    """How long things took. Seconds go in, milliseconds come out."""

    def __init__(self, seconds: Iterable[float] = ()) -> None:
        self._histogram = HdrHistogram(_LOWEST_US, _HIGHEST_US, _DIGITS)
        for value in seconds:
            self.record(value)

    def record(self, seconds: float) -> None:
        """Count one."""
        us = min(max(round(seconds * 1e6), _LOWEST_US), _HIGHEST_US)
        self._histogram.record_value(us)

    def percentile(self, percent: float) -> float:
        """The milliseconds that so many percent of the latencies did not exceed."""
        if not len(self):
            raise ValueError("no latency was recorded")
        return float(self._histogram.get_value_at_percentile(percent)) / 1000

    @property
    def longest(self) -> float:
        """The longest, in milliseconds."""
        return self.percentile(100)

    def __len__(self) -> int:
        return int(self._histogram.get_total_count())

    def merge(self, other: Self) -> None:
        """Add the latencies of another histogram."""
        self._histogram.add(other._histogram)

    def __getstate__(self) -> bytes:
        encoded: bytes = self._histogram.encode()
        return encoded

    def __setstate__(self, state: bytes) -> None:
        self._histogram = HdrHistogram.decode(state)
