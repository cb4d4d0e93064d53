"""What the audit log says about jobs, queues, schedules, bulk operations and keys.

It says how they were set before and after a call. It contains no document and no secret.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import orjson

from corvo_schema import format_duration, format_ms
from corvo_schema.errors import ErrorCode
from corvo_server.store.audit import Audit, AuditEntry
from corvo_server.store.bulk import BulkRecord
from corvo_server.store.keys import KeyChange, KeyRecord, KeyRing
from corvo_server.store.queues import (
    LimitKeys,
    LimitQueue,
    PauseQueue,
    QueueSetting,
    QueueSettings,
    SetDefaults,
    ThrottleQueue,
)
from corvo_server.store.records import (
    Change,
    JobAction,
    JobHead,
    Outcome,
    Refusal,
    Removal,
)
from corvo_server.store.schedules import EditOutcome, ScheduleOutcome, ScheduleRecord
from corvo_server.store.webhooks import Hook, HookChange, R, SourceRecord, WebhookRecord

_FIELDS: Mapping[type, Sequence[str]] = {
    PauseQueue: ("is_paused", "is_draining"),
    LimitQueue: ("max_concurrency",),
    LimitKeys: ("max_per_key",),
    ThrottleQueue: ("rate_limit", "rate_window"),
    SetDefaults: ("defaults", "payload_schema"),
}
"""The fields of `QueueSettings` that each kind of setting changes."""


def entries_of_jobs(
    action: JobAction, before: Mapping[str, JobHead | None], outcomes: Sequence[Outcome]
) -> Iterator[AuditEntry]:
    """Yield an entry per job that exists, or one entry with the counts of a bulk operation."""
    audit = action.audit
    if action.is_bulk:
        yield audit.entry(None, {**audit.asked, **counts_of(outcomes)})
        return
    for item, outcome in zip(action.transitions, outcomes, strict=True):
        head = before[item.job_id]
        if head is not None:
            yield _entry_of_job(audit, head, outcome)


def counts_of(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """Return how many jobs were changed, and how many were refused."""
    found = list(outcomes)
    return {
        "affected": sum(isinstance(outcome, Change | Removal) for outcome in found),
        "errors": sum(isinstance(outcome, Refusal) for outcome in found),
    }


def _entry_of_job(audit: Audit, head: JobHead, outcome: Outcome) -> AuditEntry:
    before = _job(head)
    if isinstance(outcome, Refusal):
        return _refused(audit, before, outcome, target=head.id, queue=head.queue)
    after = None if isinstance(outcome, Removal) else _job(outcome.job)
    return audit.entry(before, after, target=head.id, queue=head.queue)


def entry_of_queue(
    audit: Audit, settings: Sequence[QueueSetting], before: QueueSettings, after: QueueSettings
) -> AuditEntry | None:
    """Return the entry of a change of settings; None if the same defaults were set again.

    Workers publish the defaults of their queues at each start.
    """
    if before == after and all(isinstance(setting, SetDefaults) for setting in settings):
        return None
    names = [name for setting in settings for name in _FIELDS[type(setting)]]
    shown, changed = queue_values(before), queue_values(after)
    return audit.entry(
        {name: shown[name] for name in names}, {name: changed[name] for name in names}
    )


def queue_values(settings: QueueSettings) -> dict[str, Any]:
    """Return the settings of a queue as the audit log shows them. A schema has only its digest."""
    return {
        "is_paused": bool(settings.is_paused),
        "is_draining": bool(settings.is_draining),
        "max_concurrency": settings.max_concurrency,
        "max_per_key": settings.max_per_key,
        "rate_limit": settings.rate_limit,
        "rate_window": _duration(settings.rate_window),
        "defaults": None if settings.defaults is None else orjson.loads(settings.defaults),
        "payload_schema": None
        if settings.payload_schema is None
        else f"sha256:{sha256(settings.payload_schema.encode()).hexdigest()}",
    }


def entry_of_emptying(
    audit: Audit, before: QueueSettings, outcome: int | BulkRecord | Refusal
) -> AuditEntry:
    """Return the entry of the clear or the delete of a queue."""
    unusual = queue_values(QueueSettings())
    shown = {name: v for name, v in queue_values(before).items() if v != unusual[name]}
    if isinstance(outcome, Refusal):
        return _refused(audit, shown, outcome)
    if isinstance(outcome, BulkRecord):
        return audit.entry(shown, {"bulk_id": outcome.id, "total": outcome.total})
    return audit.entry(shown, {"deleted": outcome})


def entry_of_bulk(
    audit: Audit, before: BulkRecord | None, outcome: BulkRecord | Refusal
) -> AuditEntry | None:
    """Return the entry of a bulk operation in the background; None if it does not exist."""
    shown = None if before is None else _bulk(before)
    if isinstance(outcome, Refusal):
        return None if before is None else _refused(audit, shown, outcome, target=before.id)
    queue = outcome.emptied_queue or (before.emptied_queue if before else None)
    after = {**audit.asked, **_bulk(outcome)}
    return audit.entry(shown, after, target=outcome.id, queue=queue)


def entry_of_schedule(
    audit: Audit, before: ScheduleRecord | None, outcome: EditOutcome
) -> AuditEntry | None:
    """Return the entry of an edit of a schedule; None if no schedule was found."""
    shown = None if before is None else _schedule(before)
    if isinstance(outcome, Refusal):
        outcome = ScheduleOutcome(before, None, refusal=outcome)
    refusal, changed = outcome.refusal, outcome.after
    if before is None and refusal is not None and refusal.code is ErrorCode.NOT_FOUND:
        return None
    named = before or changed
    target, queue = (None, None) if named is None else (named.name, named.queue)
    if refusal is not None:
        return _refused(audit, shown, refusal, target=target, queue=queue)
    if outcome.enqueued is not None:
        job = outcome.enqueued
        run = {"job_id": job.job_id, "is_duplicate": job.is_duplicate}
        return audit.entry(None, run, target=target, queue=queue)
    after = None if changed is None else _schedule(changed)
    if after is not None and before is not None and changed is not None:
        after["is_payload_changed"] = before.payload != changed.payload
    return audit.entry(shown, after, target=target, queue=queue)


def entries_of_keys(audit: Audit, ring: KeyRing, change: KeyChange) -> Iterator[AuditEntry]:
    """Yield an entry per key that was made or changed."""
    if isinstance(change, Refusal):
        if change.code is not ErrorCode.NOT_FOUND:
            yield _refused(audit, None, change)
        return
    for key in change:
        stored = ring.keys.get(key.id)
        before = None if stored is None else _key(stored)
        yield audit.entry(before, _key(key), target=key.id)


def _refused(
    audit: Audit,
    before: Mapping[str, Any] | None,
    refusal: Refusal,
    *,
    target: str | None = None,
    queue: str | None = None,
) -> AuditEntry:
    return audit.entry(before, None, refusal.code.value, target=target, queue=queue)


def _job(head: JobHead) -> dict[str, Any]:
    return {
        "state": head.state.value,
        "queue": head.queue,
        "priority": head.priority.label,
        "attempt": head.attempt,
        "max_retries": head.max_retries,
        "is_cancel_requested": head.is_cancel_requested,
    }


def _bulk(record: BulkRecord) -> dict[str, Any]:
    return {
        "action": record.action,
        "status": record.status.value,
        "total": record.total,
        "processed": record.processed,
        "affected": record.affected,
        "errors": record.errors,
    }


def _schedule(record: ScheduleRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "name": record.name,
        "queue": record.queue,
        "cron": record.cron,
        "timezone": record.timezone,
        "misfire": record.misfire.value,
        "is_paused": record.is_paused,
        "options": orjson.loads(record.options or "{}"),
        "unique_key": record.unique_key,
    }


def _key(key: KeyRecord) -> dict[str, Any]:
    return {
        "name": key.name,
        "roles": key.roles,
        "queues": key.queues,
        "expires_at": None if key.expires_at is None else format_ms(key.expires_at),
        "revoked_at": None if key.revoked_at is None else format_ms(key.revoked_at),
    }


def _duration(ms: int | None) -> str | None:
    return None if ms is None else format_duration(ms)


def entry_of_hook(
    audit: Audit, stored: Mapping[str, R], change: HookChange[R] | Refusal
) -> AuditEntry | None:
    """Return the entry of a change of a webhook or a source; None if it does not exist."""
    before = stored.get(audit.target or "")
    shown = None if before is None else _hook(before)
    if isinstance(change, Refusal):
        unknown = change.code is ErrorCode.NOT_FOUND
        return None if unknown else _refused(audit, shown, change)
    return audit.entry(shown, None if change.after is None else _hook(change.after))


def _hook(hook: Hook) -> dict[str, Any]:
    """Return what the audit log shows of a webhook or a source: no secret, and no path of a URL."""
    if isinstance(hook, WebhookRecord):
        url = urlsplit(hook.url)
        return {
            "receiver": f"{url.scheme}://{url.hostname}",
            "queues": hook.queues,
            "types": hook.types,
            "tags": hook.tags,
            "enabled": hook.is_enabled,
            "updated_at": format_ms(hook.updated_at),
        }
    if isinstance(hook, SourceRecord):
        return {"queue": hook.queue, "form": hook.form, "updated_at": format_ms(hook.updated_at)}
    return {}
