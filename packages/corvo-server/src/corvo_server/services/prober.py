"""Writes while commits fail, so that the server becomes ready again without a caller's write."""

import asyncio
from contextlib import suppress

from corvo_server.services.service import Service
from corvo_server.store.protocol import Store, StoreError

_INTERVAL = 2.0
"""Seconds."""


class Prober(Service):
    """Writes while commits fail. A load balancer sends no writes to a server that is not ready."""

    name = "prober"

    def __init__(self, store: Store, interval: float = _INTERVAL) -> None:
        """`interval` is in seconds."""
        self._store = store
        self._interval = interval

    async def run_once(self) -> int:
        """Write to the database if the last commit failed. Return the number of writes."""
        if self._store.failure is None:
            return 0
        with suppress(StoreError):  # the writer logs it
            await self._store.touch()
        return 1

    async def wait(self) -> None:
        """Return after the interval."""
        await asyncio.sleep(self._interval)
