"""Wakes waiting fetches when the rate limit of their queue allows jobs again."""

from corvo_server.engine.maintenance import Maintenance
from corvo_server.services.service import AlarmService


class Opener(AlarmService):
    """Wakes waiting fetches when the rate limit of their queue allows jobs again."""

    name = "opener"

    def __init__(self, maintenance: Maintenance) -> None:
        self._maintenance = maintenance
        self.alarm = maintenance.opening

    async def run_once(self) -> int:
        """Wake the fetches of queues whose time has come. Return the number of queues."""
        return self._maintenance.open_queues()

    async def next_time(self) -> int | None:
        """Return when the first queue may start jobs again. Fetches that found no job record it."""
        return self._maintenance.next_opening()
