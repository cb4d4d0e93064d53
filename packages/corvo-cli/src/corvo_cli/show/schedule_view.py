"""Views of schedules."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from corvo_cli import json_text
from corvo_cli.human import age, moment, printable
from corvo_cli.show.job_view import tags
from corvo_cli.show.views import Cell, Column, Fields, Section, Table, View, state
from corvo_schema import format_duration

if TYPE_CHECKING:
    from corvo_client import Schedule


def schedules_view(schedules: "Sequence[Schedule]", now: datetime) -> View:
    """Return a table with a row for each schedule."""
    columns = [
        Column("SCHEDULE"),
        Column("QUEUE"),
        Column("CRON"),
        Column("TIMEZONE"),
        Column("STATUS"),
        Column("LAST RUN"),
        Column("NEXT RUN"),
    ]
    rows = [
        (
            Cell(schedule.name),
            Cell(schedule.queue),
            Cell(schedule.cron),
            Cell(schedule.timezone),
            _status(schedule),
            Cell(age(schedule.last_run, now)),
            Cell(age(schedule.next_run, now)),
        )
        for schedule in schedules
    ]
    return [Table(columns, rows)]


def schedule_view(schedule: "Schedule", body: bytes, now: datetime) -> View:
    """Return all details of one schedule. `body` is the server's JSON of the schedule."""
    payload = json_text.members(body.decode()).get("payload", "null")
    skipped = moment(schedule.last_skipped, now)
    if skipped and schedule.last_skip_reason:
        skipped += f": {schedule.last_skip_reason}"
    fields = Fields(
        [
            ("name", Cell(schedule.name)),
            ("id", Cell(schedule.id)),
            ("queue", Cell(schedule.queue)),
            ("cron", Cell(f"{schedule.cron} in {schedule.timezone}")),
            ("status", _status(schedule)),
            ("priority", _option(schedule, "priority", _label(schedule.priority))),
            ("attempts", _option(schedule, "max_retries", max(schedule.max_retries, 1))),
            ("backoff", Cell(schedule.retry_backoff)),
            ("first delay", Cell(_span(schedule.retry_base_delay))),
            ("longest delay", Cell(_span(schedule.retry_max_delay))),
            ("expires after", Cell(_span(schedule.expire_after))),
            ("unique key", Cell(schedule.unique_key)),
            ("concurrency key", Cell(schedule.concurrency_key)),
            ("misfire", Cell(schedule.misfire)),
            ("tags", Cell(tags(schedule.tags))),
            ("last run", Cell(moment(schedule.last_run, now))),
            ("last job", Cell(schedule.last_job_id)),
            ("last skipped", Cell(skipped)),
            ("next run", Cell(moment(schedule.next_run, now))),
        ]
    )
    lines = [printable(line) for line in json_text.indented(payload).split("\n")]
    upcoming = _upcoming(schedule, now)
    return [
        fields,
        Section("payload", lines),
        *([Section("upcoming", upcoming)] if upcoming else []),
    ]


def _upcoming(schedule: "Schedule", now: datetime) -> list[str]:
    """Return a line for each next occurrence, with its local time if a clock change is among them.

    Local times have their UTC offset: `02:00+02:00` and `02:00+01:00` are an hour apart.
    """
    lines = [moment(at, now) for at in schedule.upcoming]
    try:
        zone = ZoneInfo(schedule.timezone)
    except (ValueError, OSError, ZoneInfoNotFoundError):  # this machine may have no zone database
        return lines
    local = [at.astimezone(zone) for at in schedule.upcoming]
    if len({at.utcoffset() for at in local}) < 2:
        return lines
    return [
        f"{line}  {at.isoformat(' ', 'minutes')}" for line, at in zip(lines, local, strict=True)
    ]


def _option(schedule: "Schedule", name: str, value: object) -> Cell:
    """Return an option; that it is left out, if so."""
    return Cell("default of the queue" if name in schedule.defaults else value)


def _label(priority: object) -> object:
    return getattr(priority, "label", priority)


def _span(ms: int | None) -> str:
    return "" if ms is None else format_duration(ms)


def _status(schedule: "Schedule") -> Cell:
    return state("paused" if schedule.paused else "ok")
