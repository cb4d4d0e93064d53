"""What the server answers to a worker's ack, fail, release and heartbeat.

The results of a batch have one item per item of the request, in its order. An item that was refused
has the status `error`, and with it the `code` and `error` that its single request would have got.
"""

from typing import Literal

from pydantic import Field

from corvo_schema._base import ReplyModel
from corvo_schema.timestamps import Timestamp


class AckReply(ReplyModel):
    """The job is completed, by this ack or by an earlier one with the same lease token."""

    status: Literal["ok"] | str


class AckResult(ReplyModel):
    """What became of one ack of a batch: `ok` or `error`."""

    job_id: str
    status: Literal["ok", "error"] | str
    code: str | None = None
    error: str | None = None


class AckBatchReply(ReplyModel):
    """How many acks took effect, and what became of each."""

    acked: int
    results: list[AckResult] = Field(default_factory=list)


class FailReply(ReplyModel):
    """Where a failed job went: `retrying`, `dead` or `cancelled`."""

    status: Literal["retrying", "dead", "cancelled"] | str
    next_attempt_at: Timestamp | None = None
    attempts_remaining: int = 0


class FailResult(FailReply):
    """What became of one failure of a batch: as in `FailReply`, or `error`."""

    job_id: str
    code: str | None = None
    error: str | None = None


class FailBatchReply(ReplyModel):
    """How many failures took effect, and what became of each."""

    failed: int
    results: list[FailResult] = Field(default_factory=list)


class ReleaseReply(ReplyModel):
    """What became of a job given back.

    `released`, `cancelled` when a cancel had been requested meanwhile, `dead` when it has expired.
    """

    status: Literal["released", "cancelled", "dead"] | str
    scheduled_at: Timestamp | None = None


class ReleaseResult(ReleaseReply):
    """What became of one release of a batch: as in `ReleaseReply`, or `error`."""

    job_id: str
    code: str | None = None
    error: str | None = None


class ReleaseBatchReply(ReplyModel):
    """How many releases took effect, and what became of each."""

    released: int
    results: list[ReleaseResult] = Field(default_factory=list)


class HeartbeatJobReply(ReplyModel):
    """Go on (`ok`), or stop (`cancel`) and why."""

    status: Literal["ok", "cancel"] | str
    reason: Literal["cancelled", "lease_lost", "not_found", "finished"] | str | None = None


class HeartbeatReply(ReplyModel):
    """What each job's worker has to do, by job id."""

    jobs: dict[str, HeartbeatJobReply]
