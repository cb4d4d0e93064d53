"""What can be said of an enqueue, as types for callers."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal, Required, TypedDict

from corvo_schema import Backoff, OnConflict, Priority

NO_PAYLOAD: Any = MappingProxyType({})
"""The default of a payload: the server's own, an empty object."""

AnyPriority = Priority | Literal["critical", "high", "normal"]
AnyBackoff = Backoff | Literal["none", "fixed", "linear", "exponential"]
AnyConflict = OnConflict | Literal["ignore", "replace", "reschedule", "error"]
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
    then, the job is dead. `traceparent`: the span that enqueues, as in W3C Trace Context.
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
