"""Lets throttled queues serve again when their window allows it."""

from corvo_server.engine.maintenance import Maintenance
from corvo_server.services.service import AlarmService


class Opener(AlarmService):
    """Lets throttled queues serve again when their window allows it."""

    name = "opener"

    def __init__(self, maintenance: Maintenance) -> None:
        self._maintenance = maintenance
        self.alarm = maintenance.opening

    async def run_once(self) -> int:
        """Wake the fetches that wait for queues whose moment has come."""
        return self._maintenance.open_queues()

    async def next_time(self) -> int | None:
        """Known since the last fetch that was turned away."""
        return self._maintenance.next_opening()
