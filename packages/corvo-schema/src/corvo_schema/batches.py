"""Batches: jobs that were enqueued together, and the callback job when the last has ended."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from corvo_schema._base import ReplyModel, RequestModel
from corvo_schema.fields import QueueName
from corvo_schema.timestamps import Timestamp


class BatchOptions(RequestModel):
    """What happens when the last job of a batch has ended, however it ended."""

    callback_queue: QueueName
    callback_payload: Any = Field(
        None, description="Any JSON; comes back as `payload` in the callback job's payload."
    )


class BatchState(StrEnum):
    """Whether jobs of a batch are still to end."""

    RUNNING = "running"
    FINISHED = "finished"


class Batch(ReplyModel):
    """`GET /batches/{id}`: how far a batch is; `finished` once nothing is pending."""

    id: str
    state: Annotated[BatchState | str, Field(union_mode="left_to_right")]
    total: int
    pending: int = Field(0, description="Jobs that have not ended yet.")
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    callback_queue: str | None = None
    callback_job_id: str | None = Field(None, description="Set when the callback was enqueued.")
    created_at: Timestamp | None = None
    finished_at: Timestamp | None = None


class BatchList(ReplyModel):
    """`GET /batches`: one page, the newest first, and the cursor of the next if there is one."""

    batches: list[Batch]
    cursor: str | None = None
    has_more: bool = False


class BatchCallback(ReplyModel):
    """The payload of a batch's callback job."""

    batch_id: str
    total: int
    succeeded: int
    failed: int
    cancelled: int
    payload: Any = None
