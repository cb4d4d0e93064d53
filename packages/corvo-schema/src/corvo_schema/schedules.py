"""Requests and replies about schedules, which enqueue jobs at the times of a calendar."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from corvo_schema._base import ReplyModel
from corvo_schema.durations import Seconds
from corvo_schema.fields import (
    MAX_LABEL,
    Defaulted,
    Label,
    PriorityReply,
    QueueName,
    UniqueKey,
    member_of,
    text_json,
)
from corvo_schema.options import JobOptions
from corvo_schema.states import Backoff, Priority
from corvo_schema.timestamps import Timestamp

CronText = Annotated[Label, text_json(MAX_LABEL, format="cron")]
ZoneName = Annotated[Label, text_json(MAX_LABEL, format="iana-time-zone")]


class Misfire(StrEnum):
    """What happens to occurrences that passed while no server ran or the schedule was paused."""

    RUN_ONCE = "run_once"
    """All missed occurrences become one job, enqueued at once."""
    SKIP = "skip"
    """Occurrences that are late by a minute or more are skipped."""


class ScheduleRequest(JobOptions):
    """Body of `POST /schedules` and `PUT /schedules/{id}`: a calendar and the job to enqueue."""

    name: Label = Field(
        description="Unique name. `POST /schedules` with an existing name replaces that schedule."
    )
    queue: QueueName
    cron: CronText = Field(
        description="Minute, hour, day, month and weekday, or an alias such as @daily. A "
        "wildcard or a step in the minute or hour makes an interval: it runs by elapsed time, also "
        "in an hour that repeats. Fixed times run once: a time that a clock change skips runs "
        "right after the gap, a time that repeats runs the first time.",
    )
    timezone: Defaulted[ZoneName] = Field(
        "UTC", description="IANA time zone of the calendar, e.g. Europe/Berlin."
    )
    payload: Any = Field(default_factory=dict)
    unique_key: UniqueKey | None = None
    concurrency_key: UniqueKey | None = Field(
        None,
        description="Group of jobs in the queue, e.g. a tenant, whose active jobs can be limited.",
    )
    misfire: Annotated[Misfire, member_of(Misfire)] = Field(
        Misfire.RUN_ONCE,
        description="run_once: missed occurrences become one job, enqueued at once. skip: "
        "occurrences that are late by a minute or more are skipped.",
    )


class Schedule(ReplyModel):
    """A schedule with its last and its next run. `next_run` is null while it is paused."""

    id: str
    name: str
    queue: str
    cron: str
    timezone: str = "UTC"
    payload: Any = None
    unique_key: str | None = None
    concurrency_key: str | None = None
    unique_period: Seconds | None = None
    max_retries: int = 3
    priority: PriorityReply = Priority.NORMAL
    tags: Defaulted[dict[str, str]] = Field(default_factory=dict)
    retry_backoff: Annotated[Backoff | str | None, Field(union_mode="left_to_right")] = None
    retry_base_delay: Seconds | None = None
    retry_max_delay: Seconds | None = None
    expire_after: Seconds | None = None
    defaults: Defaulted[list[str]] = Field(
        default_factory=list,
        description="Options that the schedule leaves out. Each of its jobs gets the defaults that "
        "the queue has when the job is enqueued.",
    )
    warnings: Defaulted[list[str]] = Field(
        default_factory=list,
        description="What may be wrong: a queue that does not exist. Empty in lists.",
    )
    misfire: Annotated[Misfire | str, Field(union_mode="left_to_right")] = Misfire.RUN_ONCE
    paused: bool = False
    last_run: Timestamp | None = Field(
        None, description="Time at which the schedule last enqueued a job, also by hand."
    )
    last_job_id: str | None = None
    last_skipped: Timestamp | None = Field(
        None, description="Last occurrence for which the schedule enqueued no job."
    )
    last_skip_reason: str | None = None
    next_run: Timestamp | None = None
    upcoming: Defaulted[list[Timestamp]] = Field(
        default_factory=list,
        description="Next occurrences, also of a paused schedule. Empty in lists.",
    )
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None


class ScheduleStatusReply(ReplyModel):
    """Result of an action on a schedule: paused, resumed, deleted, enqueued or duplicate.

    `job_id` is the job that `run` enqueued, or the live job that holds the unique key.
    """

    status: str
    job_id: str | None = None
