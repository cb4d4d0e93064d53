"""Clock for tests."""

import time
from datetime import datetime

from corvo_schema import from_ms


class TestClock:
    """A clock that starts now and moves only by `forward`. In ms since the epoch."""

    __test__ = False

    def __init__(self) -> None:
        self.ms = time.time_ns() // 1_000_000

    def __call__(self) -> int:
        return self.ms

    @property
    def now(self) -> datetime:
        """Current time of this clock, in UTC."""
        return from_ms(self.ms)

    def forward(self, ms: int) -> None:
        """Move the clock forward by `ms`."""
        self.ms += ms

    def forward_to(self, ms: int) -> None:
        """Move the clock forward to `ms`. It never moves back."""
        self.ms = max(self.ms, ms)
