"""Base classes of the background services, and functions to start and end them."""

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
    """A background service: it waits for work and does it, until it is cancelled."""

    name: str

    @abstractmethod
    async def run_once(self) -> int:
        """Do all work that is due now. Return its amount."""

    @abstractmethod
    async def wait(self) -> None:
        """Return when work may be due."""

    async def run(self) -> None:
        """Work until cancelled. Log errors and continue after a pause."""
        while True:
            try:
                await self.wait()
                await self.run_once()
            except StoreError as error:
                log.warning("%s: %s", self.name, error)
                await asyncio.sleep(_PAUSE_AFTER_ERROR)
            except Exception:
                log.exception("%s failed; it continues in %g s", self.name, _PAUSE_AFTER_ERROR)
                await asyncio.sleep(_PAUSE_AFTER_ERROR)


def start_all(services: Iterable[Service]) -> list[asyncio.Task[None]]:
    """Start a task for each service. End the tasks with `end_all`."""
    return [asyncio.create_task(service.run(), name=service.name) for service in services]


async def end_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel the tasks of services. Return when all have ended."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    log.info("stopping: services have ended")


class AlarmService(Service):
    """A service that sleeps until its next job or schedule is due."""

    alarm: Alarm

    @abstractmethod
    async def next_time(self) -> int | None:
        """Return the next due time in ms since the epoch; None without one."""

    async def wait(self) -> None:
        """Return at the next due time, or earlier if a commit sets an earlier one."""
        self.alarm.clear()
        self.alarm.bring_forward(await self.next_time())
        await self.alarm.wait()
