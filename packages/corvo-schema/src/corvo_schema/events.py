"""Events: what happened to a job. A job's timeline, and the stream of `GET /events`."""

from typing import Annotated, Any

from pydantic import Field

from corvo_schema._base import ReplyModel
from corvo_schema.states import EventType
from corvo_schema.timestamps import Timestamp


class JobEvent(ReplyModel):
    """One thing that happened to one job. `data` has what belongs to its type."""

    id: int | None = Field(
        None, description="Its place in the log; resume a stream after it with Last-Event-ID."
    )
    type: Annotated[EventType | str, Field(union_mode="left_to_right")]
    job_id: str
    queue: str
    created_at: Timestamp
    data: dict[str, Any] = Field(
        default_factory=dict, description="E.g. attempt, worker_id, reason, error, progress."
    )
