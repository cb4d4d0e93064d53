"""Queues: their limits, their counts and what can be done to them."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from corvo_schema._base import ReplyModel, RequestModel, given
from corvo_schema.durations import Duration
from corvo_schema.fields import WHOLE
from corvo_schema.timestamps import Timestamp

_MAX_LIMIT = 1_000_000_000


class QueueInfo(ReplyModel):
    """`GET /queues/{name}`: the queue's settings and how many of its jobs are in which state.

    `enqueued` and `failed` count everything that ever happened; the others count what is there.
    """

    name: str
    paused: bool = False
    draining: bool = Field(False, description="Paused, so as to become empty of active jobs.")
    max_concurrency: int | None = Field(None, description="None: no limit.")
    max_per_key: int | None = Field(
        None, description="Active jobs that share a concurrency key. None: no limit."
    )
    rate_limit: int | None = Field(None, description="Fetches per window. None: no limit.")
    rate_window_ms: int | None = None
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
        description="How long the first job in line has been waiting; of those of each priority, "
        "the longest. One behind it may wait longer: an old job that was retried keeps its place. "
        "None: none is pending.",
    )


class ConcurrencyRequest(RequestModel):
    """`POST /queues/{name}/concurrency`: how many jobs may be active; 0 or null: any.

    A field that is left out changes nothing, if the other is there.
    """

    max: Annotated[int, Field(ge=0, le=_MAX_LIMIT), WHOLE] | None = None
    per_key: Annotated[int, Field(ge=0, le=_MAX_LIMIT), WHOLE] | None = Field(
        None, description="The same for each set of jobs that share a concurrency key."
    )


class ThrottleRequest(RequestModel):
    """`POST /queues/{name}/throttle`: how many jobs may be fetched in any window of time.

    The window is `window_ms` or `period`, exactly one of the two.
    """

    model_config = ConfigDict(json_schema_extra={"oneOf": [given("window_ms"), given("period")]})

    rate: Annotated[int, Field(ge=1, le=_MAX_LIMIT), WHOLE]
    window_ms: Annotated[int, Field(ge=1, le=_MAX_LIMIT), WHOLE] | None = None
    period: Duration | None = None

    @model_validator(mode="after")
    def _check_window(self) -> Self:
        if (self.window_ms is None) == (self.period is None):
            raise ValueError("give either window_ms or period")
        if self.period == 0:
            raise ValueError("the period must be longer than 0s")
        return self

    @property
    def window(self) -> int:
        """The length of the window in milliseconds, whichever field gave it."""
        return self.window_ms or self.period or 0


class QueueStatusReply(ReplyModel):
    """What was done to a queue; `deleted` is how many jobs went with a clear or a delete."""

    status: Literal["paused", "resumed", "cleared", "draining", "ok", "deleted"] | str
    deleted: int | None = None
