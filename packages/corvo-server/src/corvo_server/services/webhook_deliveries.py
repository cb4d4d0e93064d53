"""Sends the deliveries of webhooks: this server is the worker of their queues."""

import asyncio

from corvo_server.engine.attempts import Attempts
from corvo_server.engine.clock import Wall
from corvo_server.engine.webhooks import Webhooks
from corvo_server.services.service import Service
from corvo_server.services.webhook_line import Line
from corvo_server.store.webhooks import WebhookRecord
from corvo_server.webhooks.sender import Sender

_INTERVAL = 0.5
"""Seconds between two looks for changes of the webhooks."""
_AT_ONCE = 64
"""Maximum number of requests to all receivers at a time."""


class WebhookDeliveries(Service):
    """Runs a line for each enabled webhook, so that none waits for the receiver of another."""

    name = "webhook-deliveries"

    def __init__(self, webhooks: Webhooks, attempts: Attempts, wall: Wall, node_id: str) -> None:
        self._webhooks = webhooks
        self._attempts = attempts
        self._wall = wall
        self._worker_id = f"webhooks@{node_id}"
        self._sender: Sender | None = None
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._lines: dict[str, tuple[Line, asyncio.Task[None]]] = {}

    async def run_once(self) -> int:
        """Start the lines of new webhooks, end those of other ones. Return the number of lines."""
        records = {
            stored.record.id: stored.record
            for stored in await self._webhooks.load()
            if stored.record.is_enabled
        }
        for hook_id, (line, task) in [*self._lines.items()]:
            if hook_id not in records or task.done():
                await self._end(hook_id)
            else:
                line.record = records[hook_id]
        for hook_id, record in records.items():
            if hook_id not in self._lines:
                self._start(record)
        return len(self._lines)

    async def wait(self) -> None:
        """Return after the interval."""
        await asyncio.sleep(_INTERVAL)

    async def run(self) -> None:
        """Work until cancelled. Then give back the deliveries in progress."""
        try:
            await super().run()
        finally:
            await self.close()

    async def close(self) -> None:
        """End all lines, and give back the deliveries in progress."""
        for hook_id in [*self._lines]:
            await self._end(hook_id)
        if self._sender is not None:
            await self._sender.close()
            self._sender = None

    def _start(self, record: WebhookRecord) -> None:
        if self._sender is None:  # it reads all certificates, which a server without webhooks saves
            self._sender = Sender(self._webhooks.addresses)
        line = Line(
            record,
            webhooks=self._webhooks,
            attempts=self._attempts,
            sender=self._sender,
            room=self._room,
            wall=self._wall,
            worker_id=self._worker_id,
        )
        task = asyncio.create_task(line.run(), name=f"webhook-{record.name}")
        self._lines[record.id] = line, task

    async def _end(self, hook_id: str) -> None:
        _, task = self._lines.pop(hook_id)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
