"""Convert between rows of PostgreSQL and records.

Parameters with many rows are sent as one JSON text, because the driver encodes arrays slowly.
"""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import orjson

from corvo_schema.states import EventType
from corvo_server.store.queues import QueueRecord
from corvo_server.store.records import (
    Change,
    Event,
    Failure,
    JobRecord,
    LeasedJob,
    NewJob,
)
from corvo_server.store.rows.codes import BACKOFF_CODES, EVENT_WORDS, STATE_CODES
from corvo_server.store.rows.heads import HEAD_WIDTH, to_head
from corvo_server.store.rows.queries import load_queries

Row = tuple[Any, ...]
Fields = dict[str, Any]

SQL: SimpleNamespace = load_queries("corvo_server.store.postgres.sql")
"""The statements of the folder `sql`, as attributes by name."""


def as_json(values: Iterable[Any]) -> str:
    """Encode values or rows as a JSON array, for a parameter of a statement."""
    return orjson.dumps(list(values)).decode()


def as_array(numbers: Iterable[int]) -> str:
    """Encode numbers as an array literal of PostgreSQL, for a parameter of a statement."""
    return f"{{{as_json(numbers)[1:-1]}}}"


def storable(text: str) -> str:
    """Make a text safe for a lookup.

    PostgreSQL refuses NUL, so no stored text has one. The replacement is never stored either.
    """
    return text.replace("\0", "\uffff") if "\0" in text else text


def id_set(ids: Iterable[str]) -> str:
    """Encode ids to look up as a JSON array, for a parameter of a statement."""
    return as_json(map(storable, ids))


def to_leased(row: Row) -> tuple[int, LeasedJob]:
    """Convert a row of `claimed_by_seq` to its seq and the leased job."""
    return row[0], LeasedJob(to_head(row[:HEAD_WIDTH]), *row[HEAD_WIDTH:])


def to_record(row: Row) -> JobRecord:
    """Convert a row of `records_by_id`, without failures and events."""
    return JobRecord(to_head(row[:HEAD_WIDTH]), *row[HEAD_WIDTH:])


def to_queue(row: Row) -> QueueRecord:
    """Convert a row of `list_queues`."""
    return QueueRecord(*row)


def to_event(row: Row) -> Event:
    """Convert a row of `events_of_job` or `events_between`."""
    return Event(row[0], EventType(row[1]), *row[2:])


def to_failure(row: Row) -> Failure:
    """Convert a row of `failures_by_seq`."""
    return Failure(row[1], row[2], row[3], row[4])


_COMMON_COLUMNS = (
    "queue",
    "state",
    "priority",
    "max_retries",
    "backoff",
    "base_delay",
    "max_delay",
    "unique_key",
    "unique_period",
    "scheduled_at",
    "expire_at",
    "tags",
    "batch_id",
    "concurrency_key",
    "traceparent",
    "charged_to",
)


def common_values(job: NewJob) -> Row:
    """Return a job's values of `_COMMON_COLUMNS`, for `insert_similar_jobs`."""
    return (
        job.queue,
        STATE_CODES[job.state],
        int(job.priority),
        job.max_retries,
        BACKOFF_CODES[job.backoff],
        job.base_delay,
        job.max_delay,
        job.unique_key,
        job.unique_period,
        job.scheduled_at,
        job.expire_at,
        job.tags,
        job.batch_id,
        job.concurrency_key,
        job.traceparent,
        job.charged_to,
    )


def new_job_row(seq: int, job: NewJob) -> Fields:
    """Return a row for `insert_jobs`."""
    row: Fields = dict(zip(_COMMON_COLUMNS, common_values(job), strict=True))
    row.update(seq=seq, id=job.id, payload=job.payload, created_at=job.created_at)
    return row


def change_row(change: Change) -> Fields:
    """Return a row for `update_heads`."""
    job = change.job
    return {
        "seq": job.seq,
        "queue": job.queue,
        "state": STATE_CODES[job.state],
        "priority": int(job.priority),
        "attempt": job.attempt,
        "max_retries": job.max_retries,
        "is_batch_counted": job.is_batch_counted,
        "worker_id": job.worker_id,
        "hostname": job.hostname,
        "lease_token": job.lease_token,
        "lease_ms": job.lease_ms,
        "lease_expires_at": job.lease_expires_at,
        "scheduled_at": job.scheduled_at,
        "expire_at": job.expire_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "failed_at": job.failed_at,
        "is_cancel_requested": job.is_cancel_requested,
        "concurrency_key": job.concurrency_key,
        "result": change.result,
        "checkpoint": change.checkpoint,
        "progress": change.progress,
    }


def merge_rows(earlier: Fields, later: Fields) -> Fields:
    """Merge two rows of `update_heads` for one job.

    The later row wins, except for documents that it does not change (None).
    """
    documents = {name: earlier[name] for name in _DOCUMENTS if later[name] is None}
    return {**later, **documents}


_DOCUMENTS = ("result", "checkpoint", "progress")


def replacement_row(seq: int, job: NewJob) -> Fields:
    """Return a row for `replace_jobs`."""
    return {
        "seq": seq,
        "payload": job.payload,
        "tags": job.tags,
        "backoff": BACKOFF_CODES[job.backoff],
        "base_delay": job.base_delay,
        "max_delay": job.max_delay,
    }


def failure_row(seq: int, failure: Failure) -> Fields:
    """Return a row for `insert_failures`."""
    return {
        "job_seq": seq,
        "attempt": failure.attempt,
        "error": failure.error,
        "backtrace": failure.backtrace,
        "at": failure.at,
    }


def event_row(event: Event, seq: int) -> Fields:
    """Return a row for `insert_events`."""
    return {
        "type": EVENT_WORDS[event.type],
        "job_seq": seq,
        "job_id": event.job_id,
        "queue": event.queue,
        "at": event.at,
        "data": event.data,
    }
