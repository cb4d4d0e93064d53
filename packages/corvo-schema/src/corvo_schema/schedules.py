"""Schedules: jobs that are enqueued by the calendar."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from corvo_schema._base import ReplyModel, RequestModel
from corvo_schema.durations import Seconds
from corvo_schema.fields import (
    MAX_LABEL,
    Defaulted,
    Label,
    MaxRetries,
    PriorityName,
    PriorityReply,
    QueueName,
    Tags,
    UniqueKey,
    member_of,
    text_json,
)
from corvo_schema.states import Priority
from corvo_schema.timestamps import Timestamp

CronText = Annotated[Label, text_json(MAX_LABEL, format="cron")]
ZoneName = Annotated[Label, text_json(MAX_LABEL, format="iana-time-zone")]


class Misfire(StrEnum):
    """What becomes of runs whose time passed while no server ran or the schedule was paused."""

    RUN_ONCE = "run_once"
    """All that were missed become one run, at once."""
    SKIP = "skip"
    """Those a minute late or more are left out."""


class ScheduleRequest(RequestModel):
    """`POST /schedules` and `PUT /schedules/{id}`: when to enqueue what."""

    name: Label = Field(description="Its identity: writing a name again changes that schedule.")
    queue: QueueName
    cron: CronText = Field(
        description="Minute, hour, day, month, weekday; or @daily and the like. A time that a "
        "clock change skips runs once right after the gap, one that happens twice runs once.",
    )
    timezone: Defaulted[ZoneName] = Field("UTC", description="An IANA zone, e.g. Europe/Berlin.")
    payload: Any = Field(default_factory=dict)
    unique_key: UniqueKey | None = None
    unique_period: Seconds | None = None
    max_retries: MaxRetries = 3
    priority: PriorityName = Priority.NORMAL
    tags: Tags = Field(default_factory=dict)
    misfire: Annotated[Misfire, member_of(Misfire)] = Field(
        Misfire.RUN_ONCE,
        description="Missed runs become one at once, or those a minute late or more are left out.",
    )


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
    last_run: Timestamp | None = Field(
        None, description="When it last enqueued a job, by its calendar or by hand."
    )
    last_job_id: str | None = None
    last_skipped: Timestamp | None = Field(
        None, description="The last time of its calendar at which it enqueued none."
    )
    last_skip_reason: str | None = None
    next_run: Timestamp | None = None
    upcoming: Defaulted[list[Timestamp]] = Field(
        default_factory=list,
        description="The next times of its calendar, paused or not; empty in lists.",
    )
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None


class ScheduleStatusReply(ReplyModel):
    """What was done to a schedule: paused, resumed, deleted; enqueued, or duplicate.

    `job_id` is the job that `run` enqueued, or the live one that holds the unique key.
    """

    status: str
    job_id: str | None = None
