"""Waits that `stop` ends early."""

import asyncio
import contextlib
import threading


class Pause:
    """Waits in a thread. Any thread may call `stop`."""

    def __init__(self) -> None:
        self._stopping = threading.Event()

    @property
    def is_over(self) -> bool:
        """True after `stop`."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """End the current wait. Later waits return at once."""
        self._stopping.set()

    def wait(self, seconds: float) -> None:
        """Wait for `seconds`, or until `stop` is called."""
        self._stopping.wait(seconds)


class AsyncPause:
    """Waits in an event loop. Call `stop` in the same loop."""

    def __init__(self) -> None:
        self._stopping = asyncio.Event()

    @property
    def is_over(self) -> bool:
        """True after `stop`."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """End the current wait. Later waits return at once."""
        self._stopping.set()

    async def wait(self, seconds: float) -> None:
        """Wait for `seconds`, or until `stop` is called."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
