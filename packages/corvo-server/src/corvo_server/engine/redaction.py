"""What callers below the role of an operator see of secret values of payloads: nothing.

Workers get the payloads of the jobs that they fetch as they are. Everywhere else, callers who are
neither operator nor admin get records with the values masked, and cannot search by them.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson
from msgspec.structs import replace

from corvo_schema import SearchFilter
from corvo_schema.auth import Role
from corvo_schema.errors import ErrorCode
from corvo_schema.states import EventType
from corvo_server.auth.caller import caller
from corvo_server.auth.scope import Scope
from corvo_server.engine import occurrences
from corvo_server.engine.errors import CallError
from corvo_server.redaction.hidden import MARK, Hidden
from corvo_server.redaction.matcher import Matcher
from corvo_server.redaction.payloads import mask_payload
from corvo_server.redaction.rules import Rule
from corvo_server.store.options import write_options
from corvo_server.store.protocol import Store
from corvo_server.store.records import Event, Failure, JobRecord
from corvo_server.store.schedules import ScheduleRecord
from corvo_server.store.search.conditions import paths_of
from corvo_server.store.search.filters import JobFilter

_SEEING = frozenset({Role.OPERATOR})
"""Roles that see secret values, besides admins."""
_TEXT_FILTERS = ("payload_contains", "error_contains", "unique_key", "tags")
"""Filters by texts that can contain a secret value."""
_MAX_KNOWN = 1024
"""Maximum number of queues whose matcher is kept."""


class Redaction:
    """The rules of one server, and the masking of records for the caller of the request."""

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        self.rules = tuple(
            (rule, None if rule.queues is None else Scope([rule.queues])) for rule in rules
        )
        """The rules and the queues of each; None means all queues."""
        self._known: dict[str, Matcher | None] = {}

    def applies(self) -> bool:
        """Return whether the caller may not see secret values."""
        return bool(self.rules) and not caller().may(_SEEING)

    def matcher_of(self, queue: str) -> Matcher | None:
        """Return what finds the secret values of a queue's payloads; None if it has no rule."""
        if queue in self._known:
            return self._known[queue]
        rules = [rule for rule, queues in self.rules if queues is None or queue in queues]
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        matcher = self._known[queue] = Matcher(rules) if rules else None
        return matcher

    # Records

    def jobs(self, records: list[JobRecord]) -> list[JobRecord]:
        """Return jobs as the caller may see them."""
        return [self._job(record) for record in records] if self.applies() else records

    def schedules(self, records: list[ScheduleRecord]) -> list[ScheduleRecord]:
        """Return schedules as the caller may see them."""
        return [self._schedule(record) for record in records] if self.applies() else records

    def events(self, events: list[Event]) -> list[Event]:
        """Return events as the caller may see them."""
        return [self.mask(event) for event in events] if self.applies() else events

    def mask(self, event: Event) -> Event:
        """Return an event without secret values, for any reader.

        The payload of its job is not at hand, and may be gone. So all texts that workers have sent
        are masked as a whole, if the queue has a rule.
        """
        if event.data is None or self.matcher_of(event.queue) is None:
            return event
        data = json.loads(event.data)
        if "error" in data:
            data["error"] = MARK
        if "reason" in data and event.type is EventType.CANCELLED:  # of other types, it is ours
            data["reason"] = MARK
        if "progress" in data:
            data["progress"] = {"message": MARK}
        return replace(event, data=json.dumps(data))

    def skip_reason(self, schedule: ScheduleRecord) -> str | None:
        """Return the reason why an occurrence was skipped, masked for a log."""
        matcher = self.matcher_of(schedule.queue)
        if matcher is None:
            return schedule.last_skip_reason
        return mask_payload(schedule.payload, matcher).hidden.optional(schedule.last_skip_reason)

    def _job(self, record: JobRecord) -> JobRecord:
        matcher = self.matcher_of(record.head.queue)
        if matcher is None:
            return record
        payload, hidden = mask_payload(record.payload, matcher)
        if not hidden:
            return replace(record, payload=payload)
        head = replace(
            record.head,
            unique_key=hidden.optional(record.head.unique_key),
            concurrency_key=hidden.optional(record.head.concurrency_key),
        )
        return replace(
            record,
            head=head,
            payload=payload,
            tags=hidden.document(record.tags),
            progress=hidden.document(record.progress, number="null"),
            checkpoint=hidden.document(record.checkpoint),
            result=hidden.document(record.result),
            failures=[_failure(failure, hidden) for failure in record.failures],
            events=[replace(event, data=_event_data(event, hidden)) for event in record.events],
        )

    def _schedule(self, record: ScheduleRecord) -> ScheduleRecord:
        matcher = self.matcher_of(record.queue)
        if matcher is None:
            return record
        payload, hidden = mask_payload(record.payload, matcher)
        if not hidden:
            return replace(record, payload=payload)
        tags = hidden.document(record.tags)
        options = occurrences.options_of(record)
        options = replace(
            options,
            tags=options.tags and orjson.loads(tags or "{}"),
            concurrency_key=hidden.optional(options.concurrency_key),
        )
        return replace(
            record,
            payload=payload,
            tags=tags,
            unique_key=hidden.optional(record.unique_key),
            last_skip_reason=hidden.optional(record.last_skip_reason),
            options=write_options(options),
        )

    # Questions about secret values

    async def searchable(self, filters: SearchFilter, wanted: JobFilter, store: Store) -> JobFilter:
        """Return `wanted`, the store's filter for `filters`, limited to queues that were checked.

        Raise `CallError` if the caller could learn secret values by it, also from a mere count.
        """
        if not self.applies():
            return wanted
        texts = [name for name in _TEXT_FILTERS if getattr(filters, name)]
        paths = [] if wanted.payload is None else [path.steps for path in paths_of(wanted.payload)]
        if not texts and not paths:
            return wanted
        if wanted.queue is not None:
            queues: Iterable[str] = (wanted.queue,)
        elif wanted.queues is not None:
            queues = wanted.queues
        else:
            queues = frozenset(record.name for record in await store.list_queues())
            wanted = replace(wanted, queues=queues)
        for queue in sorted(queues):
            matcher = self.matcher_of(queue)
            if matcher is None:
                continue
            if texts:
                raise _unsearchable(texts[0], queue, matcher)
            if any(matcher.covers(steps) for steps in paths):
                raise _unsearchable("payload_jq", queue, matcher)
        return wanted

    def looks_same(self, stored: JobRecord, payload: str) -> bool:
        """Return whether the caller cannot tell the payload of a stored job from `payload`."""
        matcher = self.matcher_of(stored.head.queue) if self.applies() else None
        if matcher is None:
            return stored.payload == payload
        return mask_payload(stored.payload, matcher).text == mask_payload(payload, matcher).text


def _failure(failure: Failure, hidden: Hidden) -> Failure:
    return replace(
        failure, error=hidden.text(failure.error), backtrace=hidden.optional(failure.backtrace)
    )


def _event_data(event: Event, hidden: Hidden) -> str | None:
    if event.data is None:
        return None
    data: dict[str, Any] = json.loads(event.data)
    for name, value in _texts_in(data):
        data[name] = hidden.text(value)
    if "progress" in data:
        progress = hidden.document(json.dumps(data["progress"]), number="null")
        data["progress"] = json.loads(progress or "null")
    return json.dumps(data)


def _texts_in(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("error", "reason"):
        if isinstance(value := data.get(name), str):
            yield name, value


def _unsearchable(field: str, queue: str, matcher: Matcher) -> CallError:
    rules = ", ".join(rule.text for rule in matcher.rules)
    reason = "could find values that are hidden from this API key"
    return CallError(
        ErrorCode.FORBIDDEN,
        f"{field}: the API key {caller().name!r} may not use this filter in the queue {queue!r}, "
        f"because it {reason}: {rules}. Leave it out, name another queue, or use a key with the "
        "role operator.",
        [(field, reason)],
    )
