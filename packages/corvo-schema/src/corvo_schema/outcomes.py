"""Replies to a worker's ack, fail, release and heartbeat.

A batch has one result per item of the request, in the same order. A refused item has the status
`error`, and the `code` and `error` that a single request would have got.
"""

from typing import Literal

from pydantic import Field

from corvo_schema._base import ReplyModel
from corvo_schema.timestamps import Timestamp


class AckReply(ReplyModel):
    """Reply to an ack: this ack, or an earlier one with the same lease token, completed the job."""

    status: Literal["ok"] | str


class AckResult(ReplyModel):
    """Result of one ack in a batch: `ok` or `error`."""

    job_id: str
    status: Literal["ok", "error"] | str
    code: str | None = None
    error: str | None = None


class AckBatchReply(ReplyModel):
    """Number of acks that took effect, and the result of each."""

    acked: int
    results: list[AckResult] = Field(default_factory=list)


class FailReply(ReplyModel):
    """State of a job after a fail: `retrying`, `dead` or `cancelled`."""

    status: Literal["retrying", "dead", "cancelled"] | str
    next_attempt_at: Timestamp | None = None
    attempts_remaining: int = 0


class FailResult(FailReply):
    """Result of one fail in a batch: as in `FailReply`, or `error`."""

    job_id: str
    code: str | None = None
    error: str | None = None


class FailBatchReply(ReplyModel):
    """Number of fails that took effect, and the result of each."""

    failed: int
    results: list[FailResult] = Field(default_factory=list)


class ReleaseReply(ReplyModel):
    """Result of a release.

    `released`; `cancelled` if a cancel was requested; `dead` if the job has expired.
    """

    status: Literal["released", "cancelled", "dead"] | str
    scheduled_at: Timestamp | None = None


class ReleaseResult(ReleaseReply):
    """Result of one release in a batch: as in `ReleaseReply`, or `error`."""

    job_id: str
    code: str | None = None
    error: str | None = None


class ReleaseBatchReply(ReplyModel):
    """Number of releases that took effect, and the result of each."""

    released: int
    results: list[ReleaseResult] = Field(default_factory=list)


class HeartbeatJobReply(ReplyModel):
    """Instruction to a worker for one job: continue (`ok`) or stop (`cancel`), with the reason."""

    status: Literal["ok", "cancel"] | str
    reason: Literal["cancelled", "lease_lost", "not_found", "finished"] | str | None = None


class HeartbeatReply(ReplyModel):
    """Reply to a heartbeat: whether to continue with each job, by job id."""

    jobs: dict[str, HeartbeatJobReply]
