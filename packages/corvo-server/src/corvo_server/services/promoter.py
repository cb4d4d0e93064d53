"""Makes scheduled and retrying jobs pending when they are due."""

from corvo_server.engine.maintenance import Maintenance
from corvo_server.services.service import AlarmService


class Promoter(AlarmService):
    """Makes scheduled and retrying jobs pending when they are due."""

    name = "promoter"

    def __init__(self, maintenance: Maintenance) -> None:
        self._maintenance = maintenance
        self.alarm = maintenance.due

    async def run_once(self) -> int:
        """Promote jobs chunk by chunk until none is due. Return their number."""
        done = 0
        while chunk := await self._maintenance.promote():
            done += chunk
        return done

    async def next_time(self) -> int | None:
        """Return the earliest due time of a stored job."""
        return (await self._maintenance.next_times()).due
