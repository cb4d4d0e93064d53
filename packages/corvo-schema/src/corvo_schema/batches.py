"""Batches: jobs that were enqueued together, with a callback job after the last has ended."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from corvo_schema._base import ReplyModel, RequestModel
from corvo_schema.fields import QueueName
from corvo_schema.timestamps import Timestamp


class BatchOptions(RequestModel):
    """Callback job of a batch. It is enqueued after the last job has ended in any final state."""

    callback_queue: QueueName = Field(description="Queue of the callback job.")
    callback_payload: Any = Field(
        None, description="Any JSON. The callback job's payload contains it as `payload`."
    )


class BatchState(StrEnum):
    """State of a batch: `finished` after all of its jobs have ended."""

    RUNNING = "running"
    FINISHED = "finished"


class Batch(ReplyModel):
    """Reply of `GET /batches/{id}`: a batch and the number of its jobs by result."""

    id: str
    state: Annotated[BatchState | str, Field(union_mode="left_to_right")]
    total: int
    pending: int = Field(0, description="Number of jobs that have not ended.")
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    callback_queue: str | None = None
    callback_job_id: str | None = Field(
        None, description="Id of the callback job; null until it is enqueued."
    )
    created_at: Timestamp | None = None
    finished_at: Timestamp | None = None


class BatchList(ReplyModel):
    """Reply of `GET /batches`: a page of batches, newest first, and the cursor of the next page."""

    batches: list[Batch]
    cursor: str | None = None
    has_more: bool = False


class BatchCallback(ReplyModel):
    """Payload of the callback job of a batch."""

    batch_id: str
    total: int
    succeeded: int
    failed: int
    cancelled: int
    payload: Any = None
