"""Makes the deliveries of webhooks from the event log."""

import asyncio
from contextlib import suppress

from corvo_server.engine.events import EventFilter, Events
from corvo_server.engine.webhook_feed import Subscriber
from corvo_server.engine.webhooks import Webhooks
from corvo_server.services.service import Service
from corvo_server.store.webhooks import StoredWebhook

_INTERVAL = 0.5
"""Seconds between two looks for changes of the webhooks by other servers."""


class WebhookFeed(Service):
    """Follows the event log from the stored positions of the webhooks, and enqueues deliveries."""

    name = "webhook-feed"

    def __init__(self, webhooks: Webhooks, events: Events, interval: float = _INTERVAL) -> None:
        """`interval` is in seconds."""
        self._webhooks = webhooks
        self._events = events
        self._interval = interval

    async def run_once(self) -> int:
        """Handle all events that there are, and those that follow until a webhook changes.

        Return the number of events.
        """
        stored = await self._load()
        if not stored:
            return 0
        subscribers = [Subscriber(webhook) for webhook in stored]
        known = [webhook.record for webhook in stored]
        position = min(subscriber.position for subscriber in subscribers)
        loop = asyncio.get_running_loop()
        done, looked_at = 0, loop.time()
        async for events in self._events.follow(position, EventFilter(), self._interval):
            if events and not await self._webhooks.handle(events, subscribers):
                break
            done += len(events)
            if self._webhooks.changed.is_set() or loop.time() - looked_at >= self._interval:
                looked_at = loop.time()
                if [webhook.record for webhook in await self._load()] != known:
                    break
        return done

    async def wait(self) -> None:
        """Return after the interval, or when this server has changed a webhook."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._webhooks.changed.wait(), self._interval)

    async def _load(self) -> list[StoredWebhook]:
        self._webhooks.changed.clear()
        return [webhook for webhook in await self._webhooks.load() if webhook.record.is_enabled]
