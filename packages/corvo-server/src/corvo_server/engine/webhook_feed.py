"""Makes deliveries of events: which webhooks want an event, and what they are sent. Pure."""

from collections.abc import Iterable, Mapping, Sequence

import orjson

from corvo_schema import IdFactory, format_ms
from corvo_schema.states import Backoff, JobState, Priority
from corvo_schema.webhooks import delivery_queue, is_delivery_queue
from corvo_server.auth.scope import Scope
from corvo_server.store.records import Event, NewJob
from corvo_server.store.webhooks import StoredWebhook, WebhookRecord

MAX_ATTEMPTS = 15
"""Attempts of a delivery before it is dead, within about 17 hours."""
_FIRST_DELAY = 5_000
_LONGEST_DELAY = 6 * 3_600_000
ID_TAG = "webhook_id"
_NAME_TAG = "webhook"


class Subscriber:
    """A webhook that events are compared with."""

    def __init__(self, stored: StoredWebhook) -> None:
        record = stored.record
        self.record = record
        self.position = stored.position
        """Id of the last event that the webhook has handled, as stored."""
        self._scope = None if record.queues is None else Scope(record.queues)
        self._types = None if record.types is None else frozenset(record.types)
        tags = {_NAME_TAG: record.name, ID_TAG: record.id}
        self._tags = orjson.dumps(tags).decode()

    def wants(self, event: Event) -> bool:
        """Return whether an event matches, leaving the tags of its job aside."""
        return (
            event.id > self.position
            and (self._types is None or event.type.value in self._types)
            and (self._scope is None or event.queue in self._scope)
        )

    def has_tags(self, tags: Mapping[str, str]) -> bool:
        """Return whether a job with these tags matches."""
        return (self.record.tags or {}).items() <= tags.items()

    def delivery(self, event: Event, body: str, ids: IdFactory, now: int) -> NewJob:
        """Return the job that delivers an event. Those of one job keep their order by its key."""
        return NewJob(
            ids.job(),
            delivery_queue(self.record.name),
            JobState.PENDING,
            body,
            now,
            priority=Priority.NORMAL,
            max_retries=MAX_ATTEMPTS,
            backoff=Backoff.EXPONENTIAL,
            base_delay=_FIRST_DELAY,
            max_delay=_LONGEST_DELAY,
            tags=self._tags,
            concurrency_key=event.job_id,
            left_out=(),
        )


def find_matches(
    events: Iterable[Event], subscribers: Sequence[Subscriber]
) -> list[tuple[Event, list[Subscriber]]]:
    """Return the events that webhooks want, each with these. Events of deliveries are left out."""
    found = []
    for event in events:
        if is_delivery_queue(event.queue):
            continue
        wanting = [subscriber for subscriber in subscribers if subscriber.wants(event)]
        if wanting:
            found.append((event, wanting))
    return found


def body_of(event: Event, shift: int) -> str:
    """Return the body of a delivery as JSON text. `shift` (ms) makes wall-clock times."""
    at = format_ms(event.at + shift)
    return orjson.dumps(
        {
            "type": f"job.{event.type.value}",
            "timestamp": at,
            "data": {
                "event_id": event.id,
                "event": event.type.value,
                "job_id": event.job_id,
                "queue": event.queue,
                "created_at": at,
                "data": orjson.Fragment(event.data or "{}"),
            },
        }
    ).decode()


def needs_tags(record: WebhookRecord) -> bool:
    """Return whether a webhook filters by tags."""
    return bool(record.tags)
