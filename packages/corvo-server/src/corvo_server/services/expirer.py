"""Makes waiting jobs dead when their expiry has passed."""

from corvo_server.engine.maintenance import Maintenance
from corvo_server.services.service import AlarmService


class Expirer(AlarmService):
    """Makes waiting jobs dead when their expiry has passed."""

    name = "expirer"

    def __init__(self, maintenance: Maintenance) -> None:
        self._maintenance = maintenance
        self.alarm = maintenance.expiry

    async def run_once(self) -> int:
        """Expire jobs chunk by chunk until none is due. Return their number."""
        done = 0
        while chunk := await self._maintenance.expire():
            done += chunk
        return done

    async def next_time(self) -> int | None:
        """Return the earliest expiry of a stored job."""
        return (await self._maintenance.next_times()).expiry
