"""Jobs, as their producers and their administrators see them."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from corvo_schema._base import ReplyModel, RequestModel, given
from corvo_schema.batches import BatchOptions
from corvo_schema.durations import Duration, Seconds
from corvo_schema.events import JobEvent
from corvo_schema.fields import (
    BackoffName,
    Defaulted,
    Label,
    MaxRetries,
    PriorityName,
    PriorityReply,
    QueueName,
    StateReply,
    Tags,
    Traceparent,
    UniqueKey,
    member_of,
)
from corvo_schema.ids import JobId
from corvo_schema.progress import Progress
from corvo_schema.states import Backoff, OnConflict, Priority
from corvo_schema.timestamps import Timestamp

MAX_BATCH_JOBS = 10_000
"""How many jobs one `POST /enqueue/batch` or `POST /jobs/bulk-get` may name."""


class EnqueueRequest(RequestModel):
    """`POST /enqueue`: one job for a queue."""

    model_config = ConfigDict(json_schema_extra={"not": given("delay", "scheduled_at")})

    queue: QueueName
    payload: Any = Field(
        default_factory=dict,
        description="Any JSON; kept byte for byte, so that big integers survive.",
    )
    priority: PriorityName = Priority.NORMAL
    unique_key: UniqueKey | None = Field(
        None, description="At most one live job of a queue has this key."
    )
    unique_period: Seconds = Field(
        3_600_000, description="How long the unique key is held at most: seconds or a duration."
    )
    on_conflict: Annotated[OnConflict, member_of(OnConflict)] = Field(
        OnConflict.IGNORE, description="What becomes of the live job that has the unique key."
    )
    max_retries: MaxRetries = Field(
        3, description="How many attempts there are in all; 0 and 1 both mean one."
    )
    retry_backoff: BackoffName = Backoff.EXPONENTIAL
    retry_base_delay: Duration = 5_000
    retry_max_delay: Duration = Field(
        600_000, description="No delay between attempts exceeds this; a larger base is cut to it."
    )
    scheduled_at: Timestamp | None = Field(
        None, description="Not before then; in the past means at once."
    )
    delay: Seconds | None = Field(
        None, description="Not before so much time has passed; instead of scheduled_at."
    )
    expire_after: Duration | None = Field(
        None, description="A job not finished by then is dead, with the error `expired`."
    )
    tags: Tags = Field(default_factory=dict)
    concurrency_key: UniqueKey | None = Field(
        None, description="Jobs of a queue that share it can be limited together, e.g. a tenant."
    )
    traceparent: Traceparent | None = Field(
        None,
        description="The span that enqueues, as in W3C Trace Context; else the request's header.",
    )
    job_id: JobId | None = Field(
        None, description="Chosen by the client: a repeated request does not enqueue twice."
    )

    @model_validator(mode="after")
    def _check_times(self) -> Self:
        if self.delay is not None and self.scheduled_at is not None:
            raise ValueError("give either delay or scheduled_at, not both")
        return self


class EnqueueReply(ReplyModel):
    """What became of an enqueue; also one of the results of a batch.

    `status` is `pending` or `scheduled`; when a live job holds the unique key, `unique_existing` is
    true, `job_id` names that job, and `status` is `duplicate`, `replaced` or `rescheduled`.
    Repeating an enqueue with the same `job_id` answers with whatever state the stored job is in by
    now.
    """

    job_id: str
    status: str
    unique_existing: bool = False


class EnqueueBatchRequest(RequestModel):
    """`POST /enqueue/batch`: many jobs, all or nothing."""

    jobs: Annotated[
        list[EnqueueRequest], Field(strict=False, min_length=1, max_length=MAX_BATCH_JOBS)
    ]
    batch: BatchOptions | None = Field(
        None, description="Makes the jobs one batch, with a callback job once all have ended."
    )


class EnqueueBatchReply(ReplyModel):
    """The ids of a batch of enqueues, in the order of the request."""

    job_ids: list[str]
    batch_id: str | None = None
    results: list[EnqueueReply] = Field(default_factory=list)


class JobError(ReplyModel):
    """How one attempt failed."""

    attempt: int
    error: str
    backtrace: str | None = None
    created_at: Timestamp


class Job(ReplyModel):
    """`GET /jobs/{id}`: everything about a job."""

    id: str
    queue: str
    state: StateReply
    payload: Any = None
    priority: PriorityReply = Priority.NORMAL
    priority_value: int | None = None
    attempt: int = Field(0, description="How many attempts have begun.")
    max_retries: int = 3
    retry_backoff: Annotated[Backoff | str, Field(union_mode="left_to_right")] = Backoff.EXPONENTIAL
    retry_base_delay_ms: int = 5_000
    retry_max_delay_ms: int = 600_000
    unique_key: str | None = None
    concurrency_key: str | None = None
    traceparent: str | None = None
    batch_id: str | None = None
    worker_id: str | None = None
    hostname: str | None = None
    tags: Defaulted[dict[str, str]] = Field(default_factory=dict)
    progress: Progress | None = None
    checkpoint: Any = None
    result: Any = None
    cancel_requested: bool = False
    lease_expires_at: Timestamp | None = None
    scheduled_at: Timestamp | None = None
    expire_at: Timestamp | None = None
    created_at: Timestamp
    started_at: Timestamp | None = None
    completed_at: Timestamp | None = None
    failed_at: Timestamp | None = None
    errors: Defaulted[list[JobError]] = Field(default_factory=list, description="Oldest first.")
    timeline: Defaulted[list[JobEvent]] = Field(default_factory=list, description="Oldest first.")


class MoveRequest(RequestModel):
    """`POST /jobs/{id}/move`: to which queue."""

    queue: QueueName


class PriorityRequest(RequestModel):
    """`POST /jobs/{id}/priority`: which one."""

    priority: PriorityName


class StatusReply(ReplyModel):
    """What was done to a job: retried, requeued, cancelled, cancelling, moved, deleted, or ok.

    `cancelling` means that a worker holds the job and is being told to stop.
    """

    status: (
        Literal["retried", "requeued", "cancelled", "cancelling", "moved", "deleted", "ok"] | str
    )


class BulkGetRequest(RequestModel):
    """`POST /jobs/bulk-get`: which jobs to return."""

    job_ids: Annotated[list[Label], Field(strict=False, max_length=MAX_BATCH_JOBS)]


class BulkGetReply(ReplyModel):
    """The jobs that exist, in the order in which they were named."""

    jobs: list[Job]
