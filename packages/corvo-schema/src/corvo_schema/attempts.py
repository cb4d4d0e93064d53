"""Requests of workers: fetch, ack, fail, release, heartbeat.

The models accept malformed job ids. The server does not find such a job, so in a batch only that
item fails. Error reports may have any length; the server shortens them.
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
"""Maximum number of jobs in one batch of fetch, ack, fail or release."""

MAX_FETCH_QUEUES = 256


def _seconds_within(low: int, high: int) -> tuple[AfterValidator, WithJsonSchema]:
    def check(ms: int) -> int:
        if not low * 1000 <= ms <= high * 1000:
            raise ValueError(f"must be from {low} to {high} seconds")
        return ms

    return AfterValidator(check), WithJsonSchema(seconds_json(low, high))


class FetchRequest(RequestModel):
    """Body of `POST /fetch`: a request for the next job of any of these queues."""

    queues: Annotated[
        list[QueueName], Field(strict=False, min_length=1, max_length=MAX_FETCH_QUEUES)
    ]
    worker_id: Label
    hostname: Hostname | None = None
    timeout: Annotated[Seconds, *_seconds_within(0, 60)] = Field(
        30_000,
        description="Maximum time to wait for a job: 0 to 60 seconds.",
    )
    lease_duration: Annotated[Seconds, *_seconds_within(1, 86_400)] | None = Field(
        None, description="Lease: 1 to 86400 seconds. Default: the server's setting `lease`."
    )
    fenced: bool | None = Field(
        None,
        description="True: only calls with its `lease_token` can ack, fail, release or extend the "
        "attempt; calls without a token get `LEASE_LOST`. Default: the server's setting "
        "`require_lease_tokens`.",
    )


class FetchBatchRequest(FetchRequest):
    """Body of `POST /fetch/batch`: up to `count` jobs. It waits only for the first job."""

    count: Annotated[int, Field(ge=1, le=MAX_BATCH_OUTCOMES), WHOLE] = 1


class FetchedJob(ReplyModel):
    """A fetched job, with a lease that ends at `lease_expires_at`.

    `attempt` starts at 1. `lease_duration` is in seconds on the wire, in milliseconds in Python.
    `checkpoint` is the last one that an attempt of the job has saved.
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
    """Reply of `POST /fetch/batch`: the fetched jobs. Empty if none arrived within the timeout."""

    jobs: list[FetchedJob]


class AckRequest(RequestModel):
    """Body of `POST /ack/{job_id}`: the attempt completed the job."""

    result: Any = Field(None, description="Any JSON. It is stored with the job.")
    lease_token: Label | None = None


class AckItem(AckRequest):
    """One ack in a batch."""

    job_id: Label


class AckBatchRequest(RequestModel):
    """Body of `POST /ack/batch`: many independent acks."""

    acks: Annotated[list[AckItem], Field(strict=False, max_length=MAX_BATCH_OUTCOMES)]


class FailRequest(RequestModel):
    """Body of `POST /fail/{job_id}`: the attempt failed."""

    error: FreeText
    backtrace: FreeText | None = None
    lease_token: Label | None = None
    retry: Defaulted[bool] = Field(
        True, description="False makes the job dead without further attempts."
    )
    cancel: Defaulted[bool] = Field(
        False, description="True makes the job cancelled instead, by decision of the worker."
    )


class FailItem(FailRequest):
    """One fail in a batch."""

    job_id: Label


class FailBatchRequest(RequestModel):
    """Body of `POST /fail/batch`: many independent fails."""

    fails: Annotated[list[FailItem], Field(strict=False, max_length=MAX_BATCH_OUTCOMES)]


class ReleaseRequest(RequestModel):
    """Body of `POST /release/{job_id}`: give the job back without counting the attempt."""

    lease_token: Label | None = None
    delay: Duration | None = Field(
        None, description="Time until the earliest start of the next attempt. Default: none."
    )
    checkpoint: Any = Field(
        None, description="Any JSON. It replaces the job's checkpoint; null leaves it unchanged."
    )


class ReleaseItem(ReleaseRequest):
    """One release in a batch."""

    job_id: Label


class ReleaseBatchRequest(RequestModel):
    """Body of `POST /release/batch`: many independent releases."""

    releases: Annotated[list[ReleaseItem], Field(strict=False, max_length=MAX_BATCH_OUTCOMES)]


class HeartbeatJob(RequestModel):
    """Part of a heartbeat for one job."""

    progress: Progress | None = None
    checkpoint: Any = Field(
        None, description="Any JSON. It replaces the job's checkpoint; null leaves it unchanged."
    )
    lease_token: Label | None = None


class HeartbeatRequest(RequestModel):
    """Body of `POST /heartbeat`: extends the leases of jobs, by job id."""

    worker_id: Label | None = None
    jobs: Defaulted[dict[str, HeartbeatJob]] = Field(default_factory=dict)
    stopped: bool | None = Field(
        None,
        description="True: the worker has stopped, so `GET /workers` lists it only while it has "
        "active jobs.",
    )
