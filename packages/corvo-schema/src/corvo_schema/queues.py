"""Requests and replies about queues: limits, counts and actions."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from corvo_schema._base import ReplyModel, RequestModel, given
from corvo_schema.durations import Duration, Seconds
from corvo_schema.fields import WHOLE, PriorityReply
from corvo_schema.options import JobOptions
from corvo_schema.states import Backoff
from corvo_schema.timestamps import Timestamp

_MAX_LIMIT = 1_000_000_000
MAX_SCHEMA_BYTES = 64 * 1024
"""Largest JSON Schema of a queue's payloads, in bytes of JSON."""


class QueueDefaultsRequest(JobOptions):
    """Body of `PUT /queues/{name}/defaults`: options for jobs whose request leaves them out.

    It replaces all defaults of the queue. An option that is absent or null has no default.
    """

    payload_schema: dict[str, Any] | None = Field(
        None,
        description="JSON Schema of the payloads, of at most 64 KiB. The server stores it for "
        "clients, which can check payloads with it. It does not check them itself.",
    )


class QueueDefaults(ReplyModel):
    """Defaults of a queue, for the options that the request of a job leaves out."""

    priority: PriorityReply | None = None
    max_retries: int | None = None
    retry_backoff: Annotated[Backoff | str | None, Field(union_mode="left_to_right")] = None
    retry_base_delay: Seconds | None = None
    retry_max_delay: Seconds | None = None
    unique_period: Seconds | None = None
    expire_after: Seconds | None = None
    tags: dict[str, str] | None = None
    payload_schema: dict[str, Any] | None = Field(
        None, description="JSON Schema of the payloads; null: none was published."
    )
    updated_at: Timestamp | None = Field(None, description="Time of the last change.")


class QueueInfo(ReplyModel):
    """Reply of `GET /queues/{name}`: the settings of a queue and the number of its jobs by state.

    `enqueued` and `failed` are totals since the queue was created. The other counts are current.
    """

    name: str
    paused: bool = False
    draining: bool = Field(False, description="Paused by a drain until its active jobs end.")
    max_concurrency: int | None = Field(
        None, description="Maximum number of active jobs; null: no limit."
    )
    max_per_key: int | None = Field(
        None, description="Maximum number of active jobs per concurrency key; null: no limit."
    )
    rate_limit: int | None = Field(
        None, description="Maximum number of jobs started per window; null: no limit."
    )
    rate_window_ms: int | None = Field(None, description="Length of the window in milliseconds.")
    defaults: QueueDefaults | None = Field(
        None,
        description="Defaults of the queue's jobs. Only in `GET /queues/{name}`; null: no default.",
    )
    created_at: Timestamp | None = None
    pending: int = 0
    active: int = 0
    scheduled: int = 0
    retrying: int = 0
    completed: int = 0
    dead: int = 0
    cancelled: int = 0
    enqueued: int = 0
    failed: int = 0
    oldest_pending_ms: int | None = Field(
        None,
        description="Waiting time in milliseconds of the pending job that is served next, the "
        "longest over all priorities. A job behind it may have waited longer. Null: no job is "
        "pending.",
    )


class ConcurrencyRequest(RequestModel):
    """Body of `POST /queues/{name}/concurrency`: limits of active jobs; 0 or null: no limit.

    If one field is absent, its limit does not change.
    """

    max: Annotated[int, Field(ge=0, le=_MAX_LIMIT), WHOLE] | None = Field(
        None, description="Maximum number of active jobs of the queue."
    )
    per_key: Annotated[int, Field(ge=0, le=_MAX_LIMIT), WHOLE] | None = Field(
        None, description="Maximum number of active jobs with the same concurrency key."
    )


class ThrottleRequest(RequestModel):
    """Body of `POST /queues/{name}/throttle`: the rate limit of a queue.

    At most `rate` jobs start in any window. Exactly one of `window_ms` and `period` sets the length
    of the window.
    """

    model_config = ConfigDict(json_schema_extra={"oneOf": [given("window_ms"), given("period")]})

    rate: Annotated[int, Field(ge=1, le=_MAX_LIMIT), WHOLE]
    window_ms: Annotated[int, Field(ge=1, le=_MAX_LIMIT), WHOLE] | None = None
    period: Duration | None = None

    @model_validator(mode="after")
    def _check_window(self) -> Self:
        if (self.window_ms is None) == (self.period is None):
            raise ValueError("give exactly one of window_ms and period")
        if self.period == 0:
            raise ValueError("the period must be longer than 0s")
        return self

    @property
    def window(self) -> int:
        """Length of the window in milliseconds."""
        return self.window_ms or self.period or 0


class QueueStatusReply(ReplyModel):
    """Result of an action on a queue. `deleted` is the number of jobs deleted by it."""

    status: Literal["paused", "resumed", "cleared", "draining", "ok", "deleted"] | str
    deleted: int | None = None
