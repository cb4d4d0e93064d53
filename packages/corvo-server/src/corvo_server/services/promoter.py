"""Makes scheduled and retrying jobs pending when their time comes."""

from corvo_server.engine.maintenance import Maintenance
from corvo_server.services.service import AlarmService


class Promoter(AlarmService):
    """Makes scheduled and retrying jobs pending when their time comes."""

    name = "promoter"

    def __init__(self, maintenance: Maintenance) -> None:
        self._maintenance = maintenance
        self.alarm = maintenance.due

    async def run_once(self) -> int:
        """`promote` chunk by chunk until nothing is due."""
        done = 0
        while chunk := await self._maintenance.promote():
            done += chunk
        return done

    async def next_time(self) -> int | None:
        """From the store."""
        return (await self._maintenance.next_times()).due
