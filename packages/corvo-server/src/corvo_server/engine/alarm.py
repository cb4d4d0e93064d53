"""Alarms: wait until the time at which a service has to act."""

import asyncio

from corvo_server.engine.clock import Clock

_LONGEST_SLEEP = 1.0
"""Maximum sleep in seconds. The event loop's clock stops while the machine is suspended, and does
not follow the wall clock. So an alarm looks at its own clock again and again."""


class Alarm:
    """Waits until the earliest of the times that it was given."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at: int | None = None
        self._changed = asyncio.Event()

    def clear(self) -> None:
        """Forget the time. `wait` then waits until a new one is given."""
        self._at = None

    def bring_forward(self, at: int | None) -> None:
        """Set the alarm to `at` (ms since the epoch) if that is earlier; ignore None."""
        if at is not None and (self._at is None or at < self._at):
            self._at = at
            self._changed.set()

    async def wait(self) -> None:
        """Return when the time is reached. Wait forever while none is set."""
        while True:
            self._changed.clear()
            left = None
            if self._at is not None:
                left = min((self._at - self._clock()) / 1000, _LONGEST_SLEEP)
                if left <= 0:
                    return
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                continue
