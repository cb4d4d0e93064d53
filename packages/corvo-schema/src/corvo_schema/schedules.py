"""Schedules: jobs that are enqueued by the calendar."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from corvo_schema._base import ReplyModel, RequestModel
from corvo_schema.durations import Seconds
from corvo_schema.fields import (
    Defaulted,
    Label,
    MaxRetries,
    PriorityName,
    PriorityReply,
    QueueName,
    Tags,
    UniqueKey,
    member_of,
)
from corvo_schema.states import Priority
from corvo_schema.timestamps import Timestamp


class Misfire(StrEnum):
    """What becomes of runs that were missed while no server was running."""

    RUN_ONCE = "run_once"
    SKIP = "skip"


class ScheduleRequest(RequestModel):
    """`POST /schedules` and `PUT /schedules/{id}`: when to enqueue what."""

    name: Label
    queue: QueueName
    cron: Label = Field(description="Five fields, or @daily and the like.")
    timezone: Defaulted[Label] = Field("UTC", description="An IANA zone, e.g. Europe/Berlin.")
    payload: Any = Field(default_factory=dict)
    unique_key: UniqueKey | None = None
    unique_period: Seconds | None = None
    max_retries: MaxRetries = 3
    priority: PriorityName = Priority.NORMAL
    tags: Tags = Field(default_factory=dict)
    misfire: Annotated[Misfire, member_of(Misfire)] = Misfire.RUN_ONCE


class Schedule(ReplyModel):
    """A schedule with its last and its next run; `next_run` is none while it is paused."""

    id: str
    name: str
    queue: str
    cron: str
    timezone: str = "UTC"
    payload: Any = None
    unique_key: str | None = None
    unique_period: Seconds | None = None
    max_retries: int = 3
    priority: PriorityReply = Priority.NORMAL
    tags: Defaulted[dict[str, str]] = Field(default_factory=dict)
    misfire: Annotated[Misfire | str, Field(union_mode="left_to_right")] = Misfire.RUN_ONCE
    paused: bool = False
    last_run: Timestamp | None = None
    next_run: Timestamp | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None


class ScheduleStatusReply(ReplyModel):
    """What was done to a schedule; `job_id` is the job that `run` enqueued."""

    status: str
    job_id: str | None = None
