"""What can be said of an enqueue, as types for callers."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal, Required, TypedDict

from corvo_schema import (
    Backoff,
    BatchState,
    BulkAction,
    EventType,
    JobState,
    Misfire,
    OnConflict,
    Priority,
    SortField,
    SortOrder,
)

NO_PAYLOAD: Any = MappingProxyType({})
"""The default of a payload: the server's own, an empty object."""

AnyPriority = Priority | Literal["critical", "high", "normal"]
AnyBackoff = Backoff | Literal["none", "fixed", "linear", "exponential"]
AnyConflict = OnConflict | Literal["ignore", "replace", "reschedule", "error"]
AnyMisfire = Misfire | Literal["run_once", "skip"]
AnyState = (
    JobState
    | Literal["pending", "active", "completed", "retrying", "dead", "cancelled", "scheduled"]
)
AnyBatchState = BatchState | Literal["running", "finished"]
AnySortField = (
    SortField
    | Literal[
        "created_at",
        "scheduled_at",
        "started_at",
        "completed_at",
        "failed_at",
        "priority",
        "attempt",
        "queue",
        "state",
    ]
)
AnySortOrder = SortOrder | Literal["asc", "desc"]
AnyAction = BulkAction | Literal["retry", "delete", "cancel", "move", "requeue", "change_priority"]
AnyEventType = EventType | str
AnyMoment = datetime | str
"""A datetime with a time zone, or an RFC 3339 text."""
AnyDuration = timedelta | str
"""A timedelta, or a text such as `250ms`, `5s`, `1h30m`."""
AnySeconds = timedelta | str | float
"""A number of seconds, or a duration."""


class EnqueueOptions(TypedDict, total=False):
    """The options of an enqueue; what is left out or None has the server's default.

    `unique_key`: at most one live job of the queue has this key, for `unique_period` (1 h) at most;
    another enqueue is answered with the first job; `on_conflict` says what else it does.
    `concurrency_key`: jobs of the queue that share it can be limited together. `max_retries` (3):
    how many attempts there are in all. `retry_backoff` (exponential), `retry_base_delay` (5s),
    `retry_max_delay` (10m): the pauses between attempts. `scheduled_at`: not before then; `delay`:
    not before so much time has passed; one of the two at most. `expire_after`: not finished by
    then, the job is dead. `traceparent`: the span that enqueues, as in W3C Trace Context; by
    default the current one of OpenTelemetry, where the program uses that.
    `job_id`: made by the client when left out; an enqueue repeated with the same id has no second
    effect.
    """

    priority: AnyPriority | None
    unique_key: str | None
    unique_period: AnySeconds | None
    on_conflict: AnyConflict | None
    max_retries: int | None
    retry_backoff: AnyBackoff | None
    retry_base_delay: AnyDuration | None
    retry_max_delay: AnyDuration | None
    scheduled_at: datetime | str | None
    delay: AnySeconds | None
    expire_after: AnyDuration | None
    tags: Mapping[str, str] | None
    concurrency_key: str | None
    traceparent: str | None
    job_id: str | None


class NewJob(EnqueueOptions, total=False):
    """One job of `enqueue_batch`, as a dict."""

    queue: Required[str]
    payload: Any


class SearchFilters(TypedDict, total=False):
    """Which jobs are meant: those that match every filter given; texts hold no wildcards.

    `state`: one, or any of several. `tags`: all of these. `payload_contains`: text of the payload's
    JSON; `payload_jq`: a condition in a safe subset of jq. The moments themselves do not match.
    `has_errors`: an attempt has failed; `error_contains`: with such a text.
    """

    queue: str | None
    state: AnyState | Iterable[AnyState] | None
    priority: AnyPriority | None
    tags: Mapping[str, str] | None
    payload_contains: str | None
    payload_jq: str | None
    created_after: AnyMoment | None
    created_before: AnyMoment | None
    scheduled_after: AnyMoment | None
    scheduled_before: AnyMoment | None
    started_after: AnyMoment | None
    started_before: AnyMoment | None
    completed_after: AnyMoment | None
    completed_before: AnyMoment | None
    expire_after: AnyMoment | None
    expire_before: AnyMoment | None
    attempt_min: int | None
    attempt_max: int | None
    unique_key: str | None
    batch_id: str | None
    worker_id: str | None
    has_errors: bool | None
    error_contains: str | None
    job_id_prefix: str | None


class ScheduleOptions(TypedDict, total=False):
    """The options of a schedule; what is left out or None has the server's default.

    `timezone` (UTC): an IANA zone. `misfire` (run_once): what becomes of times that passed while no
    server ran. The others are those of the jobs that it enqueues; see `EnqueueOptions`.
    """

    timezone: str | None
    misfire: AnyMisfire | None
    unique_key: str | None
    unique_period: AnySeconds | None
    max_retries: int | None
    priority: AnyPriority | None
    tags: Mapping[str, str] | None
