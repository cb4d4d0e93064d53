"""Takes back jobs whose lease has ended."""

from corvo_server.engine.maintenance import Maintenance
from corvo_server.services.service import AlarmService


class Reclaimer(AlarmService):
    """Takes back jobs whose lease has ended."""

    name = "reclaimer"

    def __init__(self, maintenance: Maintenance) -> None:
        self._maintenance = maintenance
        self.alarm = maintenance.lease_end

    async def run_once(self) -> int:
        """`reclaim` chunk by chunk until nothing is due."""
        done = 0
        while chunk := await self._maintenance.reclaim():
            done += chunk
        return done

    async def next_time(self) -> int | None:
        """From the store."""
        return (await self._maintenance.next_times()).lease_end
