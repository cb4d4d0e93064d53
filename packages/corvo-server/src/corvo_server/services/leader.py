"""Runs the services of the leader on one node at a time."""

import asyncio
import logging
from collections.abc import Sequence

from corvo_server.engine.nodes import BEAT, Nodes
from corvo_server.services.service import Service
from corvo_server.store.protocol import StoreError

log = logging.getLogger(__name__)


class LeaderServices(Service):
    """Reports this node and runs the leader's services while this node is the leader.

    The services stop before the leader lease ends, also if the store does not answer. Leadership
    only avoids duplicate work: every change by a service is one guarded transaction, so two leaders
    at a time do no harm.
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
        """Return when the next heartbeat is due or the leader lease ends."""
        left = self._nodes.remaining_lease if self._running else self._pause
        await asyncio.sleep(max(0.0, min(self._pause, left)))
        self._pause = self._beat

    async def run_once(self) -> int:
        """Report a heartbeat. Start or stop the services by the answer; stop them without one."""
        report = self._report or asyncio.create_task(self._nodes.beat(), name="beat")
        self._report = report
        left = self._nodes.remaining_lease if self._running else self._beat
        await asyncio.wait({report}, timeout=max(0.0, left) if left < float("inf") else None)
        if report.done():
            self._report = None
            self._note(report.exception())
        await self._start_or_stop()
        return 1

    async def run(self) -> None:
        """Work until cancelled. Return when the services have ended."""
        try:
            await super().run()
        finally:
            if self._report is not None:
                self._report.cancel()
            await self._stop()

    async def _start_or_stop(self) -> None:
        is_leader = self._nodes.remaining_lease > 0
        if is_leader and not self._running:
            if not self._nodes.is_alone:
                log.info("this node is now the leader")
            self._running = [
                asyncio.create_task(service.run(), name=service.name) for service in self._services
            ]
        elif not is_leader and self._running:
            log.warning("this node is no longer the leader")
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
            self._is_failing = True  # log the first failure only, not one a second
            traceback_of = None if isinstance(error, StoreError) else error
            log.warning("the heartbeat of this node failed: %s", error, exc_info=traceback_of)
