"""Reclaims jobs whose lease has expired."""

from corvo_server.engine.maintenance import Maintenance
from corvo_server.services.service import AlarmService


class Reclaimer(AlarmService):
    """Reclaims jobs whose lease has expired."""

    name = "reclaimer"

    def __init__(self, maintenance: Maintenance) -> None:
        self._maintenance = maintenance
        self.alarm = maintenance.lease_end

    async def run_once(self) -> int:
        """Reclaim jobs chunk by chunk until none is due. Return their number."""
        done = 0
        while chunk := await self._maintenance.reclaim():
            done += chunk
        return done

    async def next_time(self) -> int | None:
        """Return the earliest end of a stored lease."""
        return (await self._maintenance.next_times()).lease_end
