"""What the background loops have in common."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable

from corvo_server.engine.alarm import Alarm
from corvo_server.store.protocol import StoreError

log = logging.getLogger(__name__)

_PAUSE_AFTER_ERROR = 1.0
"""Seconds."""


class Service(ABC):
    """A role of the server that runs beside the requests."""

    name: str

    @abstractmethod
    async def run_once(self) -> int:
        """Do all that is to be done now; how much it was."""

    @abstractmethod
    async def wait(self) -> None:
        """Return when there may be something to do."""

    async def run(self) -> None:
        """Work until cancelled. Errors are logged and the work is taken up again."""
        while True:
            try:
                await self.wait()
                await self.run_once()
            except StoreError as error:
                log.warning("%s: %s", self.name, error)
                await asyncio.sleep(_PAUSE_AFTER_ERROR)
            except Exception:
                log.exception("%s failed and goes on", self.name)
                await asyncio.sleep(_PAUSE_AFTER_ERROR)


def start_all(services: Iterable[Service]) -> list[asyncio.Task[None]]:
    """Run services beside each other, until `end_all`."""
    return [asyncio.create_task(service.run(), name=service.name) for service in services]


async def end_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel services, and return when all have ended."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    log.info("stopping: services have ended")


class AlarmService(Service):
    """A service that sleeps until the time of the first job that it is there for."""

    alarm: Alarm

    @abstractmethod
    async def next_time(self) -> int | None:
        """The moment (ms) of the first such job in the store; None when there is none."""

    async def wait(self) -> None:
        """Sleep until that moment; a commit that brings an earlier one cuts it short."""
        self.alarm.clear()
        self.alarm.ring_by(await self.next_time())
        await self.alarm.wait()
