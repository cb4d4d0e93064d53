"""Records of schedules that the engine and a store exchange. Times are in ms since the epoch.

A rule of `engine.occurrences` turns a stored schedule into a `ScheduleChange`. The store loads the
schedule, calls the rule, and writes the change and its jobs in one transaction.
"""

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from corvo_schema.schedules import Misfire
from corvo_schema.states import Priority
from corvo_server.store.records import Enqueued, NewJob, Refusal


class ScheduleRecord(Struct):
    """A schedule in full. `payload` and `tags` are JSON text."""

    id: str
    name: str
    """Unique, and its identity for whoever writes it."""
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
    """Of the last edit; runs do not count."""
    next_run: int | None
    """The first occurrence of its calendar that has not been dealt with, which may be long past."""
    is_paused: bool = False
    last_run: int | None = None
    last_job_id: str | None = None
    last_skipped: int | None = None
    last_skip_reason: str | None = None


class ScheduleChange(Struct, frozen=True):
    """What a rule decided on for one schedule."""

    after: ScheduleRecord | None
    """None removes the schedule."""
    job: NewJob | None = None
    """Enqueued in the same transaction."""
    if_duplicate: ScheduleRecord | None = None
    """If given, stored instead of `after` when a live job holds the unique key of `job`."""


class ScheduleEdit(Struct, frozen=True):
    """A request to change one schedule, found by its name or, if `by_id` as well, by its id."""

    reference: str
    decide: Callable[[ScheduleRecord | None], ScheduleChange | Refusal]
    """The rule with its request bound in; gets None when there is no such schedule. Pure."""
    by_id: bool = True


class DueSchedules(Struct, frozen=True):
    """Up to `limit` schedules that are not paused and whose `next_run` came by `now`."""

    now: int
    limit: int
    decide: Callable[[ScheduleRecord], ScheduleChange]


class ScheduleOutcome(Struct, frozen=True):
    """What was stored for one schedule, and what became of its job if it had one."""

    before: ScheduleRecord | None
    after: ScheduleRecord | None
    enqueued: Enqueued | None = None


EditOutcome: TypeAlias = ScheduleOutcome | Refusal
