"""Time, as tests need it."""

import asyncio

START = 1_800_000_000_000
"""The moment at which every test begins, in ms since the epoch."""


class ManualClock:
    """Tells the same time until it is moved."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def forward(self, ms: int) -> int:
        """Let `ms` pass; the new time."""
        self.now += ms
        return self.now


def forward_loop(seconds: float) -> None:
    """Let so much time pass for all that waits on the running event loop's clock."""
    loop = asyncio.get_running_loop()
    before = loop.time
    # For good: time does not run backwards.
    loop.time = lambda: before() + seconds  # type: ignore[method-assign]
