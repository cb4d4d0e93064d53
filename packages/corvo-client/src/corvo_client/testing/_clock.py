"""A clock that goes only when it is told to."""

import time
from datetime import datetime

from corvo_schema import from_ms


class TestClock:
    """Starts at the present, then stands still. In milliseconds since the epoch."""

    __test__ = False

    def __init__(self) -> None:
        self.ms = time.time_ns() // 1_000_000

    def __call__(self) -> int:
        return self.ms

    @property
    def now(self) -> datetime:
        """The time, in UTC."""
        return from_ms(self.ms)

    def forward(self, ms: int) -> None:
        """Let time pass."""
        self.ms += ms

    def forward_to(self, ms: int) -> None:
        """Let time pass until then; it never goes back."""
        self.ms = max(self.ms, ms)
