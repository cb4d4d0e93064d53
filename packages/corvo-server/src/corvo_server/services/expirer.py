"""Ends waiting jobs that were not finished in time."""

from corvo_server.engine.maintenance import Maintenance
from corvo_server.services.service import AlarmService


class Expirer(AlarmService):
    """Ends waiting jobs that were not finished in time."""

    name = "expirer"

    def __init__(self, maintenance: Maintenance) -> None:
        self._maintenance = maintenance
        self.alarm = maintenance.expiry

    async def run_once(self) -> int:
        """`expire` chunk by chunk until nothing is due."""
        done = 0
        while chunk := await self._maintenance.expire():
            done += chunk
        return done

    async def next_time(self) -> int | None:
        """From the store."""
        return (await self._maintenance.next_times()).expiry
