"""The moment at which a service has to act next."""

import asyncio

from corvo_server.engine.clock import Clock


class Alarm:
    """Rings at the earliest moment it was told of."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at: int | None = None
        self._changed = asyncio.Event()

    def clear(self) -> None:
        """Forget the moment."""
        self._at = None

    def ring_by(self, at: int | None) -> None:
        """Ring at `at` (ms) unless it rings before that anyway; None changes nothing."""
        if at is not None and (self._at is None or at < self._at):
            self._at = at
            self._changed.set()

    async def wait(self) -> None:
        """Return once the moment has come; for ever while there is none."""
        while True:
            self._changed.clear()
            left = None if self._at is None else (self._at - self._clock()) / 1000
            if left is not None and left <= 0:
                return
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                continue
