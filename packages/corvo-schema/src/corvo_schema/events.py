"""Events of jobs, in the field `timeline` of a job and in the stream of `GET /events`."""

from typing import Annotated, Any

from pydantic import Field

from corvo_schema._base import ReplyModel
from corvo_schema.states import EventType
from corvo_schema.timestamps import Timestamp


class JobEvent(ReplyModel):
    """One event of one job. The content of `data` depends on `type`."""

    id: int | None = Field(
        None,
        description="Position in the event log. Send it as Last-Event-ID to resume a stream.",
    )
    type: Annotated[EventType | str, Field(union_mode="left_to_right")]
    job_id: str
    queue: str
    created_at: Timestamp
    data: dict[str, Any] = Field(
        default_factory=dict,
        description="Details, e.g. attempt, worker_id, reason, error or progress.",
    )
