"""The time of the running event loop, which a test moves."""

import asyncio

import pytest

from server_support.bench import turns


class LoopTime:
    """Moves the time of the running loop forward. Its timers fire, but time never stands still."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self._ahead = 0.0
        true_time = loop.time
        monkeypatch.setattr(loop, "time", lambda: true_time() + self._ahead)

    async def forward(self, seconds: float) -> None:
        """Let seconds pass, and everything happen that is due, also shortly afterwards."""
        for step in (seconds, 0.01, 0.01):
            self._ahead += step
            await turns()
