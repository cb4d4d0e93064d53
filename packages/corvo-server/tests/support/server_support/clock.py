"""Clocks that tests control."""

import asyncio

START = 1_800_000_000_000
"""Time at which every test begins, in ms since the epoch."""


class ManualClock:
    """A clock in ms that moves only when a test moves it."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def forward(self, ms: int) -> int:
        """Move the clock by `ms`. Return the new time."""
        self.now += ms
        return self.now


def forward_loop(seconds: float) -> None:
    """Move the clock of the running event loop by `seconds`."""
    loop = asyncio.get_running_loop()
    before = loop.time
    # Never undone, because the clock of a loop must not run backwards.
    loop.time = lambda: before() + seconds  # type: ignore[method-assign]
