"""Convert records of the store to the JSON objects of the API.

The API shows wall-clock times. `shift` is the offset of the wall clock from the server's time, in
ms. Occurrences of schedules are wall-clock times already.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from corvo_schema import format_ms, to_ms
from corvo_schema.states import EventType, JobState
from corvo_schema.timestamps import parse_timestamp
from corvo_schema.webhooks import delivery_queue
from corvo_server.engine import occurrences
from corvo_server.engine.nodes import Node
from corvo_server.engine.options import names_left_out
from corvo_server.engine.workers import WorkerRecord
from corvo_server.http.replies import raw
from corvo_server.store.audit import AuditEntry
from corvo_server.store.batches import BatchRecord
from corvo_server.store.bulk import BulkRecord
from corvo_server.store.keys import KeyRecord
from corvo_server.store.options import JobOptions
from corvo_server.store.queues import QueueDefaults, QueueRecord
from corvo_server.store.records import (
    Event,
    JobRecord,
    LeasedJob,
)
from corvo_server.store.rows.values import LATEST
from corvo_server.store.schedules import ScheduleRecord
from corvo_server.store.webhooks import SourceRecord, WebhookRecord

_EARLIEST = -62_135_596_800_000
"""The begin of the year 1, the earliest time that a reply can contain."""


def leased_job(job: LeasedJob, shift: int) -> dict[str, Any]:
    """Return the object of a fetched job (`FetchedJob`)."""
    head = job.head
    return {
        "job_id": head.id,
        "queue": head.queue,
        "payload": raw(job.payload),
        "attempt": head.attempt,
        "max_retries": head.max_retries,
        "lease_duration": _seconds(head.lease_ms),
        "checkpoint": raw(job.checkpoint),
        "tags": raw(job.tags) or {},
        "lease_token": head.lease_token,
        "lease_expires_at": _time(head.lease_expires_at, shift),
        "priority": head.priority.label,
        "created_at": _time(head.created_at, shift),
        "scheduled_at": _time(head.scheduled_at, shift),
        "expire_at": _time(head.expire_at, shift),
        "batch_id": head.batch_id,
        "unique_key": head.unique_key,
        "concurrency_key": head.concurrency_key,
        "traceparent": job.traceparent,
    }


def job(record: JobRecord, shift: int) -> dict[str, Any]:
    """Return the object of a full job (`Job`)."""
    head = record.head
    completed_at = head.finished_at if head.state is JobState.COMPLETED else None
    return {
        "id": head.id,
        "queue": head.queue,
        "state": head.state,
        "payload": raw(record.payload),
        "priority": head.priority.label,
        "priority_value": int(head.priority),
        "attempt": head.attempt,
        "max_retries": head.max_retries,
        "retry_backoff": head.backoff,
        "retry_base_delay_ms": head.base_delay,
        "retry_max_delay_ms": head.max_delay,
        "unique_key": head.unique_key,
        "concurrency_key": head.concurrency_key,
        "batch_id": head.batch_id,
        "worker_id": head.worker_id,
        "hostname": head.hostname,
        "tags": raw(record.tags) or {},
        "traceparent": record.traceparent,
        "progress": raw(record.progress),
        "checkpoint": raw(record.checkpoint),
        "result": raw(record.result),
        "cancel_requested": head.is_cancel_requested,
        "lease_expires_at": _time(head.lease_expires_at, shift),
        "scheduled_at": _time(head.scheduled_at, shift),
        "expire_at": _time(head.expire_at, shift),
        "created_at": _time(head.created_at, shift),
        "started_at": _time(head.started_at, shift),
        "completed_at": _time(completed_at, shift),
        "failed_at": _time(head.failed_at, shift),
        "errors": [
            {
                "attempt": failure.attempt,
                "error": failure.error,
                "backtrace": failure.backtrace,
                "created_at": _time(failure.at, shift),
            }
            for failure in record.failures
        ],
        "timeline": [event(item, shift) for item in record.events],
    }


def event(record: Event, shift: int) -> dict[str, Any]:
    """Return the object of an event (`JobEvent`)."""
    return {
        "id": record.id,
        "type": record.type,
        "job_id": record.job_id,
        "queue": record.queue,
        "created_at": _time(record.at, shift),
        "data": raw(_shifted(record, shift)) or {},
    }


def batch(record: BatchRecord, shift: int) -> dict[str, Any]:
    """Return the object of a batch (`Batch`)."""
    ended = record.succeeded + record.failed + record.cancelled
    is_finished = record.finished_at is not None
    return {
        "id": record.id,
        "state": "finished" if is_finished else "running",
        "total": record.total,
        "pending": record.total - ended,
        "succeeded": record.succeeded,
        "failed": record.failed,
        "cancelled": record.cancelled,
        "callback_queue": record.callback_queue,
        "callback_job_id": record.callback_job_id if is_finished else None,
        "created_at": _time(record.created_at, shift),
        "finished_at": _time(record.finished_at, shift),
    }


def queue(record: QueueRecord, age_of_oldest: int | None, shift: int) -> dict[str, Any]:
    """Return the object of a queue (`QueueInfo`). `age_of_oldest` is in ms."""
    return {
        "name": record.name,
        "paused": record.is_paused,
        "draining": record.is_draining,
        "max_concurrency": record.max_concurrency,
        "max_per_key": record.max_per_key,
        "rate_limit": record.rate_limit,
        "rate_window_ms": record.rate_window,
        "defaults": record.defaults and _defaults(record.defaults, shift),
        "created_at": _time(record.created_at, shift),
        "pending": record.pending,
        "active": record.active,
        "scheduled": record.scheduled,
        "retrying": record.retrying,
        "completed": record.completed,
        "dead": record.dead,
        "cancelled": record.cancelled,
        "enqueued": record.enqueued,
        "failed": record.failed,
        "oldest_pending_ms": age_of_oldest,
    }


def _defaults(record: QueueDefaults, shift: int) -> dict[str, Any]:
    return {
        **_options(record.options),
        "payload_schema": raw(record.payload_schema),
        "updated_at": _time(record.updated_at, shift),
    }


def _options(options: JobOptions) -> dict[str, Any]:
    """Return the options of a job as the API shows them; None for those that are left out."""
    return {
        "priority": None if options.priority is None else options.priority.label,
        "max_retries": options.max_retries,
        "retry_backoff": options.retry_backoff,
        "retry_base_delay": _optional_seconds(options.retry_base_delay),
        "retry_max_delay": _optional_seconds(options.retry_max_delay),
        "unique_period": _optional_seconds(options.unique_period),
        "expire_after": _optional_seconds(options.expire_after),
        "tags": options.tags,
    }


def worker(record: WorkerRecord, shift: int) -> dict[str, Any]:
    """Return the object of a worker (`WorkerInfo`)."""
    return {
        "id": record.id,
        "hostname": record.hostname,
        "queues": record.queues,
        "last_heartbeat": _time(record.last_heartbeat, shift),
        "last_fetch": _time(record.last_fetch, shift),
        "started_at": _time(record.first_seen, shift),
        "active_jobs": record.active_jobs,
        "status": record.status,
    }


def cluster(nodes: Sequence[Node], shift: int, *, is_single: bool) -> dict[str, Any]:
    """Return the object of a cluster (`ClusterStatus`).

    The cluster is healthy if every node is healthy and one of them is the leader.
    """
    has_leader = any(node.record.is_leader and node.status == "healthy" for node in nodes)
    is_healthy = has_leader and all(node.status == "healthy" for node in nodes)
    return {
        "mode": "single" if is_single else "cluster",
        "status": "healthy" if is_healthy else "degraded",
        "nodes": [_node(node, shift) for node in nodes],
        "clock_offset_seconds": shift / 1000,
    }


def _node(node: Node, shift: int) -> dict[str, Any]:
    report = node.record.report
    load = (report.waiting_fetches, report.backlog, report.operations)
    waiting_fetches, backlog, operations = load if node.has_load else (None, None, None)
    return {
        "id": report.id,
        "address": report.address,
        "role": "leader" if node.record.is_leader else "follower",
        "status": node.status,
        "version": report.version,
        "started_at": _time(report.started_at, shift),
        "last_seen": _time(node.record.last_seen, shift),
        "waiting_fetches": waiting_fetches,
        "backlog": backlog,
        "operations_per_second": operations,
    }


def schedule(
    record: ScheduleRecord,
    shift: int,
    upcoming: Sequence[int] = (),
    warnings: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the object of a schedule (`Schedule`). `upcoming` is in ms since the epoch."""
    options = occurrences.options_of(record)
    return {
        **_options(options),
        "id": record.id,
        "name": record.name,
        "queue": record.queue,
        "cron": record.cron,
        "timezone": record.timezone,
        "payload": raw(record.payload),
        "unique_key": record.unique_key,
        "unique_period": _seconds(record.unique_period),
        "max_retries": record.max_retries,
        "priority": record.priority.label,
        "tags": raw(record.tags) or {},
        "concurrency_key": options.concurrency_key,
        "defaults": names_left_out(options),
        "warnings": warnings,
        "misfire": record.misfire,
        "paused": record.is_paused,
        "last_run": _time(record.last_run, shift),
        "last_job_id": record.last_job_id,
        "last_skipped": _time(record.last_skipped, 0),
        "last_skip_reason": record.last_skip_reason,
        "next_run": None if record.is_paused else _time(record.next_run, 0),
        "upcoming": [format_ms(at) for at in upcoming],
        "created_at": _time(record.created_at, shift),
        "updated_at": _time(record.updated_at, shift),
    }


def key(record: KeyRecord, shift: int, now: int) -> dict[str, Any]:
    """Return the object of an API key (`ApiKey`). `now` is server time in ms."""
    return {
        "id": record.id,
        "name": record.name,
        "roles": record.roles,
        "queues": record.queues,
        "created_at": _time(record.created_at, shift),
        "created_by": record.created_by,
        "expires_at": _time(record.expires_at, shift),
        "last_used_at": _time(record.last_used_at, shift),
        "revoked_at": _time(record.revoked_at, shift),
        "max_rate": record.max_rate,
        "max_waiting": record.max_waiting,
        "max_bytes": record.max_bytes,
        "valid": record.is_valid(now),
    }


def audit_entry(entry: AuditEntry, shift: int) -> dict[str, Any]:
    """Return the object of an entry of the audit log (`AuditEntry`)."""
    return {
        "id": entry.id,
        "at": _time(entry.at, shift),
        "operation": entry.operation,
        "by": entry.actor,
        "key_id": entry.key_id,
        "roles": entry.roles,
        "address": entry.address,
        "request_id": entry.request_id,
        "target": entry.target,
        "queue": entry.queue,
        "before": raw(entry.before),
        "after": raw(entry.after),
        "outcome": entry.outcome,
    }


def webhook(record: WebhookRecord, shift: int) -> dict[str, Any]:
    """Return the object of a webhook (`Webhook`), without its secret."""
    return {
        "name": record.name,
        "url": record.url,
        "queues": record.queues,
        "types": record.types,
        "tags": record.tags,
        "enabled": record.is_enabled,
        "disabled_reason": record.disabled_reason,
        "delivery_queue": delivery_queue(record.name),
        "created_at": _time(record.created_at, shift),
        "created_by": record.created_by,
        "updated_at": _time(record.updated_at, shift),
        "old_secret_until": _time(record.old_secret_until, shift),
    }


def webhook_source(record: SourceRecord, shift: int) -> dict[str, Any]:
    """Return the object of a source (`WebhookSource`), without its secret."""
    return {
        "name": record.name,
        "queue": record.queue,
        "form": record.form,
        "signature_header": record.signature_header,
        "id_header": record.id_header,
        "tag_headers": record.tag_headers,
        "created_at": _time(record.created_at, shift),
        "created_by": record.created_by,
        "updated_at": _time(record.updated_at, shift),
        "old_secret_until": _time(record.old_secret_until, shift),
    }


def bulk(record: BulkRecord, shift: int) -> dict[str, Any]:
    """Return the object of a bulk operation (`BulkOperation`)."""
    return {
        "id": record.id,
        "status": record.status,
        "action": record.action,
        "total": record.total,
        "processed": record.processed,
        "affected": record.affected,
        "errors": record.errors,
        "error": record.error,
        "created_at": _time(record.created_at, shift),
        "updated_at": _time(record.updated_at, shift),
        "finished_at": _time(record.finished_at, shift),
    }


def _time(ms: int | None, shift: int) -> str | None:
    return None if ms is None else wall_time(ms, shift)


def wall_time(ms: int, shift: int) -> str:
    """Return a server time (ms) as a wall-clock time in the format of the API."""
    return format_ms(min(max(ms + shift, _EARLIEST), LATEST) if shift else ms)


def _shifted(record: Event, shift: int) -> str | None:
    """Return the data of an event with its server time as a wall-clock time."""
    if not shift or record.data is None or record.type is not EventType.RETRYING:
        return record.data
    data = orjson.loads(record.data)
    at = to_ms(parse_timestamp(data["next_attempt_at"]))
    return orjson.dumps({**data, "next_attempt_at": wall_time(at, shift)}).decode()


def _optional_seconds(ms: int | None) -> int | float | None:
    return None if ms is None else _seconds(ms)


def _seconds(ms: int) -> int | float:
    seconds, rest = divmod(ms, 1000)
    return ms / 1000 if rest else seconds
