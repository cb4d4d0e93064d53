"""The worker's side: fetch, ack, fail, release, heartbeat.

A job id that is no id at all is left for the server to look up in vain: in a batch it must spoil
its own item only. Error reports are taken at any length; the server cuts them.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema

from corvo_schema._base import ReplyModel, RequestModel
from corvo_schema.durations import Duration, Seconds, seconds_json
from corvo_schema.fields import (
    WHOLE,
    Defaulted,
    FreeText,
    Hostname,
    Label,
    PriorityReply,
    QueueName,
)
from corvo_schema.progress import Progress
from corvo_schema.states import Priority
from corvo_schema.timestamps import Timestamp

MAX_BATCH_OUTCOMES = 512
"""How many jobs one batch of fetch, ack, fail or release may have."""

MAX_FETCH_QUEUES = 256


def _seconds_within(low: int, high: int) -> tuple[AfterValidator, WithJsonSchema]:
    def check(ms: int) -> int:
        if not low * 1000 <= ms <= high * 1000:
            raise ValueError(f"must be from {low} to {high} seconds")
        return ms

    return AfterValidator(check), WithJsonSchema(seconds_json(low, high))


class FetchRequest(RequestModel):
    """`POST /fetch`: the next job of any of these queues."""

    queues: Annotated[
        list[QueueName], Field(strict=False, min_length=1, max_length=MAX_FETCH_QUEUES)
    ]
    worker_id: Label
    hostname: Hostname | None = None
    timeout: Annotated[Seconds, *_seconds_within(0, 60)] = Field(
        30_000, description="How long to wait for a job when there is none: 0 to 60 seconds."
    )
    lease_duration: Annotated[Seconds, *_seconds_within(1, 86_400)] | None = Field(
        None, description="1 to 86400 seconds; the server's setting when left out."
    )


class FetchBatchRequest(FetchRequest):
    """`POST /fetch/batch`: as many jobs as there are, up to `count`; waits only for the first."""

    count: Annotated[int, Field(ge=1, le=MAX_BATCH_OUTCOMES), WHOLE] = 1


class FetchedJob(ReplyModel):
    """A job handed to a worker, under a lease that ends at `lease_expires_at`.

    `attempt` counts from 1. `lease_duration` is in milliseconds here, in seconds on the wire.
    `checkpoint` is what an earlier attempt left behind.
    """

    job_id: str
    queue: str
    payload: Any = None
    attempt: int
    max_retries: int = 3
    lease_duration: Seconds
    checkpoint: Any = None
    tags: Defaulted[dict[str, str]] = Field(default_factory=dict)
    lease_token: str | None = None
    lease_expires_at: Timestamp | None = None
    priority: PriorityReply = Priority.NORMAL
    created_at: Timestamp | None = None
    scheduled_at: Timestamp | None = None
    expire_at: Timestamp | None = None
    batch_id: str | None = None
    unique_key: str | None = None
    concurrency_key: str | None = None
    traceparent: str | None = None


class FetchBatchReply(ReplyModel):
    """The jobs handed out; none when nothing came within the timeout."""

    jobs: list[FetchedJob]


class AckRequest(RequestModel):
    """`POST /ack/{job_id}`: the attempt did its work."""

    result: Any = Field(None, description="Any JSON; kept with the job.")
    lease_token: Label | None = None


class AckItem(AckRequest):
    """One ack of a batch."""

    job_id: Label


class AckBatchRequest(RequestModel):
    """`POST /ack/batch`: many acks, each on its own."""

    acks: Annotated[list[AckItem], Field(strict=False, max_length=MAX_BATCH_OUTCOMES)]


class FailRequest(RequestModel):
    """`POST /fail/{job_id}`: the attempt failed."""

    error: FreeText
    backtrace: FreeText | None = None
    lease_token: Label | None = None
    retry: Defaulted[bool] = Field(True, description="False sends the job to dead at once.")
    cancel: Defaulted[bool] = Field(
        False, description="True ends the job as cancelled: the handler's own decision."
    )


class FailItem(FailRequest):
    """One failure of a batch."""

    job_id: Label


class FailBatchRequest(RequestModel):
    """`POST /fail/batch`: many failures, each on its own."""

    fails: Annotated[list[FailItem], Field(strict=False, max_length=MAX_BATCH_OUTCOMES)]


class ReleaseRequest(RequestModel):
    """`POST /release/{job_id}`: give the job back; the attempt does not count."""

    lease_token: Label | None = None
    delay: Duration | None = Field(None, description="Not before so much time has passed.")
    checkpoint: Any = Field(
        None, description="Any JSON; replaces the job's checkpoint unless it is null."
    )


class ReleaseItem(ReleaseRequest):
    """One release of a batch."""

    job_id: Label


class ReleaseBatchRequest(RequestModel):
    """`POST /release/batch`: many releases, each on its own."""

    releases: Annotated[list[ReleaseItem], Field(strict=False, max_length=MAX_BATCH_OUTCOMES)]


class HeartbeatJob(RequestModel):
    """What a heartbeat says about one job."""

    progress: Progress | None = None
    checkpoint: Any = Field(
        None, description="Any JSON; replaces the job's checkpoint unless it is null."
    )
    lease_token: Label | None = None


class HeartbeatRequest(RequestModel):
    """`POST /heartbeat`: these jobs, by id, are still being worked on; extends their leases."""

    worker_id: Label | None = None
    jobs: Defaulted[dict[str, HeartbeatJob]] = Field(default_factory=dict)
