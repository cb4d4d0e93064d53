"""Types of the arguments of client methods."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal, Required, TypedDict

from corvo_schema import (
    Backoff,
    BatchState,
    BulkAction,
    ErrorScope,
    EventType,
    JobState,
    Misfire,
    OnConflict,
    Priority,
    SortField,
    SortOrder,
)

NO_PAYLOAD: Any = MappingProxyType({})
"""Default payload: the field is not sent, and the server stores an empty object."""

AnyPriority = Priority | Literal["critical", "high", "normal"]
AnyBackoff = Backoff | Literal["none", "fixed", "linear", "exponential"]
AnyConflict = OnConflict | Literal["ignore", "replace", "reschedule", "error"]
AnyMisfire = Misfire | Literal["run_once", "skip"]
AnyState = (
    JobState
    | Literal["pending", "active", "completed", "retrying", "dead", "cancelled", "scheduled"]
)
AnyStates = AnyState | Iterable[AnyState]
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
AnyErrorScope = ErrorScope | Literal["any", "last"]
AnySortOrder = SortOrder | Literal["asc", "desc"]
AnyAction = BulkAction | Literal["retry", "delete", "cancel", "move", "requeue", "change_priority"]
AnyEventType = EventType | str
AnyMoment = datetime | str
"""A datetime with a time zone, or RFC 3339 text."""
AnyDuration = timedelta | str
"""A timedelta, or text such as `250ms`, `5s`, `1h30m`."""
AnySeconds = timedelta | str | float
"""A number of seconds, or a duration."""


class EnqueueOptions(TypedDict, total=False):
    """Options of an enqueue. One that is missing or None has the default of the queue.

    If the queue has no default, it is that in parentheses.

    - `unique_key`: at most one unfinished job of the queue has this key, for up to `unique_period`
      (1h). Another enqueue returns that job; `on_conflict` (ignore) can also change it.
    - `concurrency_key`: the limit `per_key` of the queue applies to jobs with the same key.
    - `max_retries` (3): maximum number of attempts.
    - `retry_backoff` (exponential), `retry_base_delay` (5s), `retry_max_delay` (10m): the delay
      before the next attempt.
    - `scheduled_at`: earliest start; `delay`: the same, from now. Use at most one of them.
    - `expire_after`: the job becomes dead if it has not finished by then.
    - `traceparent`: span of the enqueue (W3C Trace Context); default: OpenTelemetry's current span.
    - `job_id`: default: a new id. A second enqueue with the same id has no effect.
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


class DefaultOptions(TypedDict, total=False):
    """Default options of the jobs of a task or a queue. Those of an enqueue override them."""

    priority: AnyPriority | None
    max_retries: int | None
    retry_backoff: AnyBackoff | None
    retry_base_delay: AnyDuration | None
    retry_max_delay: AnyDuration | None
    unique_period: AnySeconds | None
    expire_after: AnyDuration | None
    tags: Mapping[str, str] | None


class NewJob(EnqueueOptions, total=False):
    """One job of `enqueue_batch` as a dict."""

    queue: Required[str]
    payload: Any


class SearchFilters(TypedDict, total=False):
    """Filters of a search. A job must match all of them. Text has no wildcards.

    - `state`: one state, or several of which one must match.
    - `tags`: the job must have all of them.
    - `payload_contains`: text within the JSON of the payload.
    - `payload_jq`: a condition in a safe subset of jq.
    - `..._after` and `..._before` exclude the given time itself. `failed_...` is the time of the
      last failure.
    - `has_errors`: the last attempt has failed; `error_contains`: text within its error.
    - `error_scope`: `last`; with `any`, these two look at the errors of all attempts.
    """

    queue: str | None
    state: AnyStates | None
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
    failed_after: AnyMoment | None
    failed_before: AnyMoment | None
    expire_after: AnyMoment | None
    expire_before: AnyMoment | None
    attempt_min: int | None
    attempt_max: int | None
    unique_key: str | None
    batch_id: str | None
    worker_id: str | None
    has_errors: bool | None
    error_contains: str | None
    error_scope: AnyErrorScope | None
    job_id_prefix: str | None


class ScheduleOptions(TypedDict, total=False):
    """Options of a schedule. One that is missing or None has its default.

    - `timezone` (UTC): an IANA time zone.
    - `misfire` (run_once): how to handle occurrences that passed while no server ran.
    - All others are those of the schedule's jobs; see `EnqueueOptions`. A job gets the defaults
      that its queue has when the job is enqueued.
    """

    timezone: str | None
    misfire: AnyMisfire | None
    unique_key: str | None
    unique_period: AnySeconds | None
    max_retries: int | None
    retry_backoff: AnyBackoff | None
    retry_base_delay: AnyDuration | None
    retry_max_delay: AnyDuration | None
    expire_after: AnyDuration | None
    priority: AnyPriority | None
    tags: Mapping[str, str] | None
    concurrency_key: str | None
