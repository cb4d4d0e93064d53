"""Clocks that tests control."""

import asyncio

from corvo_server.engine.clock import MachineClock

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


class TwoClocks(MachineClock):
    """The server's clock over a wall clock and a steady clock, which move only when a test does."""

    def __init__(self, now: int = START) -> None:
        self.wall_ms = now
        self._steady_ms = 0
        super().__init__(lambda: self.wall_ms, lambda: self._steady_ms / 1000)

    @property
    def now(self) -> int:
        """The server's time."""
        return self()

    def forward(self, ms: int) -> int:
        """Let `ms` pass, as while the machine runs or is suspended. Return the server's time."""
        self.wall_ms += ms
        self._steady_ms += ms
        self.observe()
        return self()

    def jump(self, ms: int) -> None:
        """Set the wall clock forward (or back) by `ms`. No time passes."""
        self.wall_ms += ms
        self.observe()


def forward_loop(seconds: float) -> None:
    """Move the clock of the running event loop by `seconds`."""
    loop = asyncio.get_running_loop()
    before = loop.time
    # Never undone, because the clock of a loop must not run backwards.
    loop.time = lambda: before() + seconds  # type: ignore[method-assign]
