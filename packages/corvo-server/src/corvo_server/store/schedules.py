"""Records of schedules that the engine and a store exchange. Times are in ms since the epoch.

A rule of `engine.occurrences` turns a stored schedule into a `ScheduleChange`. The store loads the
schedule, calls the rule, and writes the change and its jobs in one transaction.
"""

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from corvo_schema.schedules import Misfire
from corvo_schema.states import Priority
from corvo_server.store.audit import Audit
from corvo_server.store.records import Enqueued, NewJob, Refusal


class ScheduleRecord(Struct):
    """A schedule with all its fields. `payload` and `tags` are JSON text."""

    id: str
    name: str
    """Unique name, by which callers identify the schedule."""
    queue: str
    cron: str
    timezone: str
    payload: str
    priority: Priority
    max_retries: int
    unique_key: str | None
    unique_period: int
    tags: str | None
    misfire: Misfire
    created_at: int
    updated_at: int
    """Time of the last edit; a run does not change it."""
    next_run: int | None
    """First occurrence that was not handled yet, possibly in the past; None without any."""
    is_paused: bool = False
    last_run: int | None = None
    last_job_id: str | None = None
    last_skipped: int | None = None
    last_skip_reason: str | None = None
    options: str | None = None
    """JSON text of `ScheduleOptions`: what the request gave. Where it is None, the request was
    stored by an older server, and gave the options of the fields above."""


class ScheduleChange(Struct, frozen=True):
    """A rule's decision on one schedule."""

    after: ScheduleRecord | None
    """Schedule to store; None deletes the schedule."""
    job: NewJob | None = None
    """Job to enqueue in the same transaction."""
    if_duplicate: ScheduleRecord | None = None
    """Schedule to store instead of `after` if another job holds the unique key of `job`."""


class ScheduleEdit(Struct, frozen=True):
    """A request to change one schedule by a rule."""

    reference: str
    """Name of the schedule, or its id if `by_id` is True."""
    decide: Callable[[ScheduleRecord | None], ScheduleChange | Refusal]
    """The pure rule with its request bound in; its argument is None if no schedule was found."""
    by_id: bool = True
    memory: int = 0
    """Bytes of the texts that the rule stores."""
    audit: Audit | None = None


class DueSchedules(Struct, frozen=True):
    """A request to run up to `limit` schedules, not paused, whose `next_run` came by `now`."""

    now: int
    limit: int
    decide: Callable[[ScheduleRecord], ScheduleChange]


class ScheduleOutcome(Struct, frozen=True):
    """The effect on one schedule: its record before and after, and its enqueued job if any."""

    before: ScheduleRecord | None
    after: ScheduleRecord | None
    enqueued: Enqueued | None = None
    refusal: Refusal | None = None
    """Why the job was not enqueued and the schedule was not changed: its disk is full."""


EditOutcome: TypeAlias = ScheduleOutcome | Refusal
