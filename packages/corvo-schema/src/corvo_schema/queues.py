"""Requests and replies about queues: limits, counts and actions."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from corvo_schema._base import ReplyModel, RequestModel, given
from corvo_schema.durations import Duration
from corvo_schema.fields import WHOLE
from corvo_schema.timestamps import Timestamp

_MAX_LIMIT = 1_000_000_000


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
