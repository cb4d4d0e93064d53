"""Runs on one node at a time what must not be done by all."""

import asyncio
import logging
from collections.abc import Sequence

from corvo_server.engine.nodes import BEAT, Nodes
from corvo_server.services.service import Service
from corvo_server.store.protocol import StoreError

log = logging.getLogger(__name__)


class LeaderServices(Service):
    """Reports this node, and runs the services of the leader while it leads.

    They have ended before another node can have the lead: also when no answer comes, and when this
    process stood still meanwhile. What one of them had begun in the store by then is one atomic
    change, which the store lets happen once, whoever asks for it.
    """

    name = "leader"

    def __init__(self, nodes: Nodes, services: Sequence[Service], beat: float = BEAT) -> None:
        """`beat` is in seconds."""
        self._nodes = nodes
        self._services = services
        self._beat = beat
        self._pause = 0.0
        self._is_failing = False
        self._report: asyncio.Task[None] | None = None
        self._running: list[asyncio.Task[None]] = []

    async def wait(self) -> None:
        """Until it is time to report, or not to lead any longer."""
        left = self._nodes.leads_for if self._running else self._pause
        await asyncio.sleep(max(0.0, min(self._pause, left)))
        self._pause = self._beat

    async def run_once(self) -> int:
        """Report, and start or stop the services by the answer, or because none comes in time."""
        report = self._report or asyncio.create_task(self._nodes.beat(), name="beat")
        self._report = report
        left = self._nodes.leads_for if self._running else self._beat
        await asyncio.wait({report}, timeout=max(0.0, left) if left < float("inf") else None)
        if report.done():
            self._report = None
            self._note(report.exception())
        await self._follow()
        return 1

    async def run(self) -> None:
        """Work until cancelled; then the services have ended."""
        try:
            await super().run()
        finally:
            if self._report is not None:
                self._report.cancel()
            await self._stop()

    async def _follow(self) -> None:
        leads = self._nodes.leads_for > 0
        if leads and not self._running:
            if not self._nodes.is_alone:
                log.info("this node leads now")
            self._running = [
                asyncio.create_task(service.run(), name=service.name) for service in self._services
            ]
        elif not leads and self._running:
            log.warning("this node does not lead any more")
            await self._stop()

    async def _stop(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running = []

    def _note(self, error: BaseException | None) -> None:
        if error is None:
            self._is_failing = False
        elif not self._is_failing:
            self._is_failing = True  # which is told once, not every second
            told = None if isinstance(error, StoreError) else error
            log.warning("this node cannot report: %s", error, exc_info=told)
