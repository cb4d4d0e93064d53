"""Requests and replies of producers and administrators about jobs."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from corvo_schema._base import ReplyModel, RequestModel, given
from corvo_schema.batches import BatchOptions
from corvo_schema.durations import Seconds
from corvo_schema.events import JobEvent
from corvo_schema.fields import (
    Defaulted,
    Label,
    PriorityName,
    PriorityReply,
    QueueName,
    StateReply,
    Traceparent,
    UniqueKey,
    member_of,
)
from corvo_schema.ids import JobId
from corvo_schema.options import JobOptions
from corvo_schema.progress import Progress
from corvo_schema.states import Backoff, OnConflict, Priority
from corvo_schema.timestamps import Timestamp

MAX_BATCH_JOBS = 10_000
"""Maximum number of jobs in one `POST /enqueue/batch` or `POST /jobs/bulk-get`."""


class EnqueueRequest(JobOptions):
    """Body of `POST /enqueue`: one job for a queue."""

    model_config = ConfigDict(json_schema_extra={"not": given("delay", "scheduled_at")})

    queue: QueueName
    payload: Any = Field(
        default_factory=dict,
        description="Any JSON. It is stored byte for byte, so large integers keep their digits.",
    )
    unique_key: UniqueKey | None = Field(
        None, description="At most one live job of the queue has this key."
    )
    on_conflict: Annotated[OnConflict, member_of(OnConflict)] = Field(
        OnConflict.IGNORE,
        description="What happens if a live job has the unique key. ignore: nothing. replace: the "
        "waiting job gets this job's content. reschedule: it gets this job's time. error: the "
        "enqueue is refused.",
    )
    scheduled_at: Timestamp | None = Field(
        None, description="Earliest start of the job. A time in the past means now."
    )
    delay: Seconds | None = Field(
        None, description="Time until the earliest start of the job, instead of scheduled_at."
    )
    concurrency_key: UniqueKey | None = Field(
        None,
        description="Group of jobs in the queue, e.g. a tenant, whose active jobs can be limited.",
    )
    traceparent: Traceparent | None = Field(
        None,
        description="W3C trace context of the job. Default: the request's header `traceparent`.",
    )
    job_id: JobId | None = Field(
        None,
        description="Id chosen by the client. A repeated request with it does not enqueue twice. "
        "With another queue or payload, the request is refused (`INVALID_STATE`).",
    )

    @model_validator(mode="after")
    def _check_times(self) -> Self:
        if self.delay is not None and self.scheduled_at is not None:
            raise ValueError("give delay or scheduled_at, not both")
        return self


class EnqueueReply(ReplyModel):
    """Result of an enqueue, of one job or of an item in a batch.

    `status` is `pending` or `scheduled` for a new job. If a live job holds the unique key,
    `unique_existing` is true, `job_id` is the id of that job, and `status` is `duplicate`,
    `replaced` or `rescheduled`. A repeated enqueue with the same `job_id` returns the current state
    of the stored job.
    """

    job_id: str
    status: str
    unique_existing: bool = False


class EnqueueBatchRequest(RequestModel):
    """Body of `POST /enqueue/batch`: many jobs, of which all or none are stored."""

    jobs: Annotated[
        list[EnqueueRequest], Field(strict=False, min_length=1, max_length=MAX_BATCH_JOBS)
    ]
    batch: BatchOptions | None = Field(
        None, description="Makes the jobs a batch, with a callback job after all have ended."
    )


class EnqueueBatchReply(ReplyModel):
    """Results of many enqueues, in the order of the request."""

    job_ids: list[str]
    batch_id: str | None = None
    results: list[EnqueueReply] = Field(default_factory=list)


class JobError(ReplyModel):
    """Error of one failed attempt."""

    attempt: int
    error: str
    backtrace: str | None = None
    created_at: Timestamp


class Job(ReplyModel):
    """Reply of `GET /jobs/{id}`: a job in full."""

    id: str
    queue: str
    state: StateReply
    payload: Any = None
    priority: PriorityReply = Priority.NORMAL
    priority_value: int | None = None
    attempt: int = Field(0, description="Number of attempts started.")
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
    errors: Defaulted[list[JobError]] = Field(
        default_factory=list,
        description="Oldest first. Only the newest ones, of about 1 MiB, if they are larger.",
    )
    timeline: Defaulted[list[JobEvent]] = Field(
        default_factory=list,
        description="Oldest first. Only the newest ones, of about 4 MiB, if they are larger.",
    )


class MoveRequest(RequestModel):
    """Body of `POST /jobs/{id}/move`: the new queue."""

    queue: QueueName


class PriorityRequest(RequestModel):
    """Body of `POST /jobs/{id}/priority`: the new priority."""

    priority: PriorityName


class StatusReply(ReplyModel):
    """Result of an action on one job.

    `cancelling`: a worker has the job, and its next heartbeat tells it to stop.
    """

    status: (
        Literal["retried", "requeued", "cancelled", "cancelling", "moved", "deleted", "ok"] | str
    )


class BulkGetRequest(RequestModel):
    """Body of `POST /jobs/bulk-get`: the ids of the jobs to return."""

    job_ids: Annotated[list[Label], Field(strict=False, max_length=MAX_BATCH_JOBS)]


class BulkGetReply(ReplyModel):
    """Reply of `POST /jobs/bulk-get`: the jobs that exist, in the order of the request."""

    jobs: list[Job]
