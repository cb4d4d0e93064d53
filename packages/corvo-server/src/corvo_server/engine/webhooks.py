"""Verbs on webhooks, which send the events of jobs to URLs, and the making of their deliveries."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from corvo_schema import IdFactory
from corvo_schema.audit import AuditOperation
from corvo_schema.errors import ErrorCode
from corvo_schema.webhooks import RotateSecretRequest, WebhookRequest, WebhookSettings
from corvo_server.auth.caller import caller
from corvo_server.engine import webhook_rules
from corvo_server.engine.audit import audited
from corvo_server.engine.clock import Clock, wall_of
from corvo_server.engine.errors import CallError
from corvo_server.engine.redaction import Redaction
from corvo_server.engine.verbs import Part, verb
from corvo_server.engine.webhook_feed import Subscriber, body_of, find_matches, needs_tags
from corvo_server.store.protocol import Store, StoreFull
from corvo_server.store.records import Event, NewJob, Refusal
from corvo_server.store.webhooks import (
    Deliveries,
    HookChange,
    HookEdit,
    StoredWebhook,
    WebhookRecord,
)
from corvo_server.webhooks.addresses import Addresses

_MOST_JOBS = 1_000
"""Number of deliveries after which a commit takes no further events."""
_STORE_AFTER = 1_000
"""Number of events that no webhook wants, after which the positions are stored."""


class Webhooks(Part):
    """Verbs on webhooks. The server itself is the worker of their deliveries."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ids: IdFactory,
        addresses: Addresses,
        redaction: Redaction,
    ) -> None:
        self._store = store
        self._redaction = redaction
        self._clock = clock
        self._wall = wall_of(clock)
        self._ids = ids
        self.addresses = addresses
        self.changed = asyncio.Event()
        """Set when this server has changed a webhook."""

    @verb
    async def list_all(self) -> list[WebhookRecord]:
        """Return all webhooks by name."""
        return [stored.record for stored in await self._store.list_webhooks()]

    @verb
    async def create(self, request: WebhookRequest) -> WebhookRecord:
        """Create a webhook. It gets the events that happen from now on."""
        now = self._clock()
        record = WebhookRecord(
            name=request.name,
            id=self._ids.job().replace("job_", "hook_", 1),
            secret=webhook_rules.secret_of(request.secret),
            created_at=now,
            created_by=caller().name,
            updated_at=now,
            is_enabled=request.enabled,
            **self._values(request),
        )
        rule = partial(
            webhook_rules.create, record=record, position=await self._store.last_event_id()
        )
        audit = audited(AuditOperation.CREATE_WEBHOOK, now, target=record.name)
        await self._edit(HookEdit(WebhookRecord, rule, audit))
        return record

    @verb
    async def replace(self, name: str, request: WebhookSettings) -> WebhookRecord:
        """Replace the settings of a webhook. Raise `CallError` if it does not exist."""
        return await self._change(
            name,
            partial(
                webhook_rules.reset,
                values=self._values(request),
                is_enabled=request.enabled,
                position=await self._store.last_event_id(),
                now=self._clock(),
            ),
            AuditOperation.REPLACE_WEBHOOK,
        )

    @verb
    async def rotate(self, name: str, request: RotateSecretRequest) -> WebhookRecord:
        """Give a webhook a new secret. Both secrets sign for the grace."""
        secret = webhook_rules.secret_of(request.secret)
        rule = partial(webhook_rules.rotate, secret=secret, grace=request.grace, now=self._clock())
        return await self._change(name, rule, AuditOperation.ROTATE_WEBHOOK)

    @verb
    async def delete(self, name: str) -> None:
        """Delete a webhook. Its deliveries that have not ended are cancelled when they are due."""
        rule = partial(
            webhook_rules.edit, kind=WebhookRecord, name=name, change=webhook_rules.remove
        )
        audit = audited(AuditOperation.DELETE_WEBHOOK, self._clock(), target=name)
        await self._edit(HookEdit(WebhookRecord, rule, audit))

    @verb
    async def disable(self, record: WebhookRecord, reason: str) -> None:
        """Disable a webhook whose receiver wants no more events."""
        rule = partial(webhook_rules.disable, record_id=record.id, reason=reason, now=self._clock())
        await self._change(record.name, rule)

    # The feed

    @verb
    async def load(self) -> list[StoredWebhook]:
        """Return all webhooks with their positions, as stored."""
        return await self._store.list_webhooks()

    @verb
    async def handle(self, events: Sequence[Event], subscribers: Sequence[Subscriber]) -> bool:
        """Enqueue the deliveries of `events`, which follow the positions of the webhooks.

        The positions are stored with the deliveries, so that no event is lost or doubled. Return
        False if another server has moved or changed a webhook: load them again. Raise `StoreFull`
        if there is no space; then the events are still to be handled.
        """
        jobs: list[NewJob] = []
        now = self._clock()
        for event, wanting in await self._wanted(events, subscribers):
            body = body_of(self._redaction.mask(event), self._wall.offset)
            jobs += [subscriber.delivery(event, body, self._ids, now) for subscriber in wanting]
            if len(jobs) >= _MOST_JOBS:
                if not await self._deliver(jobs, event.id, subscribers):
                    return False
                jobs = []
        last = events[-1].id
        behind = last - min(subscriber.position for subscriber in subscribers)
        if jobs or behind >= _STORE_AFTER:
            return await self._deliver(jobs, last, subscribers)
        return True

    async def _wanted(
        self, events: Sequence[Event], subscribers: Sequence[Subscriber]
    ) -> list[tuple[Event, list[Subscriber]]]:
        matches = find_matches(events, subscribers)
        ids = {
            event.job_id
            for event, wanting in matches
            if any(needs_tags(subscriber.record) for subscriber in wanting)
        }
        if not ids:
            return matches
        tags = await self._store.tags_of([*ids])
        return [
            (event, [sub for sub in wanting if sub.has_tags(tags.get(event.job_id, {}))])
            for event, wanting in matches
        ]

    async def _deliver(
        self, jobs: Sequence[NewJob], position: int, subscribers: Sequence[Subscriber]
    ) -> bool:
        # A webhook that is younger than the event must not go back.
        moved = [subscriber for subscriber in subscribers if subscriber.position < position]
        expected = {subscriber.record.name: subscriber.position for subscriber in moved}
        answer = await self._store.deliver(Deliveries(expected, position, jobs))
        if isinstance(answer, Refusal):
            raise StoreFull(answer.message)
        if answer:
            for subscriber in moved:
                subscriber.position = position
        return answer

    def _values(self, request: WebhookSettings) -> dict[str, Any]:
        """Return the values of a record. Raise `CallError` if the server must not call the URL."""
        host = urlsplit(request.url).hostname or ""
        refused = self.addresses.find_refused(host)
        if refused is not None:
            expected = (
                f"must lead to a public address; {refused} is not one. To allow it, start the "
                f"server with: --webhook-allow {refused}"
            )
            raise CallError(ErrorCode.VALIDATION_ERROR, f"url: {expected}", [("url", expected)])
        return {
            "url": request.url,
            "queues": None if request.queues is None else tuple(request.queues),
            "types": None if request.types is None else tuple(kind.value for kind in request.types),
            "tags": request.tags or None,
        }

    async def _change(
        self,
        name: str,
        change: Callable[[WebhookRecord], HookChange[WebhookRecord]],
        operation: AuditOperation | None = None,
    ) -> WebhookRecord:
        rule = partial(webhook_rules.edit, kind=WebhookRecord, name=name, change=change)
        audit = None if operation is None else audited(operation, self._clock(), target=name)
        outcome = await self._edit(HookEdit(WebhookRecord, rule, audit))
        if outcome.after is None:
            raise AssertionError("the change of a webhook has deleted it")
        return outcome.after

    async def _edit(self, edit: HookEdit[WebhookRecord]) -> HookChange[WebhookRecord]:
        outcome = await self._store.edit_webhook(edit)
        if isinstance(outcome, Refusal):
            raise CallError.of(outcome)
        self.changed.set()
        return outcome
