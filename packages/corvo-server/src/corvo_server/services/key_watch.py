"""Keeps the API keys of this node up to date, and stores when keys were used."""

import asyncio

from corvo_server.engine.keys import Keys
from corvo_server.services.service import Service

_INTERVAL = 0.5
"""Seconds between two looks at the version of the keys: a revocation holds within a second."""
_STORE_USES_EVERY = 120
"""Number of looks between two writes of the last uses: a minute."""


class KeyWatch(Service):
    """Looks for changes of the keys by other servers on the database."""

    name = "key-watch"

    def __init__(self, keys: Keys, interval: float = _INTERVAL) -> None:
        """`interval` is in seconds."""
        self._keys = keys
        self._interval = interval
        self._looks = 0

    async def run_once(self) -> int:
        """Read the keys if they have changed. Return 1 if they have."""
        is_changed = await self._keys.refresh()
        self._looks += 1
        if self._looks % _STORE_USES_EVERY == 0:
            await self._keys.store_uses()
        return int(is_changed)

    async def wait(self) -> None:
        """Return after the interval."""
        await asyncio.sleep(self._interval)
