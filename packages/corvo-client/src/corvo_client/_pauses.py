"""Pauses that end early when it is time to stop."""

import asyncio
import contextlib
import threading


class Pause:
    """Waits in a thread. `stop` may be called from any."""

    def __init__(self) -> None:
        self._stopping = threading.Event()

    @property
    def is_over(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """End the pause at hand, and all later ones at once."""
        self._stopping.set()

    def wait(self, seconds: float) -> None:
        """Wait."""
        self._stopping.wait(seconds)


class AsyncPause:
    """Waits in an event loop, in which `stop` is to be called, too."""

    def __init__(self) -> None:
        self._stopping = asyncio.Event()

    @property
    def is_over(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """End the pause at hand, and all later ones at once."""
        self._stopping.set()

    async def wait(self, seconds: float) -> None:
        """Wait."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
