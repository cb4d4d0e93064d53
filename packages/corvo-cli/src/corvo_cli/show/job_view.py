"""The view of one job."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from corvo_cli import json_text
from corvo_cli.human import age, moment, printable, printable_lines, span
from corvo_cli.show.views import Block, Cell, Column, Fields, Section, Table, View, state

if TYPE_CHECKING:
    from corvo_client import Job, JobEvent, Progress

_TIMES = ("created_at", "scheduled_at", "started_at", "completed_at", "failed_at", "expire_at")


def job_view(job: "Job", body: bytes, now: datetime) -> View:
    """Return all details of a job. `body` is the server's JSON of the job."""
    texts = json_text.members(body.decode())
    blocks: list[Block] = [
        Fields([("id", Cell(job.id)), *_settings(job), *_worker(job, now), *_times(job, now)]),
        *_documents(texts),
        *_errors(job, now),
    ]
    if job.timeline:
        blocks.append(Section("timeline", table=timeline(job.timeline, now)))
    return blocks


def progress(report: "Progress | None") -> str:
    """Format the progress of a job: `3/10 (30%) resizing`."""
    if report is None:
        return ""
    parts = []
    if report.current is not None:
        parts.append(f"{report.current:g}" if report.total is None else _share(report))
    if report.message:
        parts.append(report.message)
    return " ".join(parts)


def tags(pairs: Mapping[str, str]) -> str:
    """Format tags: `tenant=acme region=eu`."""
    return " ".join(f"{key}={value}" for key, value in pairs.items())


def timeline(events: "Iterable[JobEvent]", now: datetime) -> Table:
    """Return a table with a row for each event of a job."""
    columns = [Column("AT"), Column("EVENT"), Column("DETAILS", can_shrink=True)]
    rows = [
        (
            Cell(moment(event.created_at, now)),
            state(event.type),
            Cell(event_details(event.data)),
        )
        for event in events
    ]
    return Table(columns, rows)


def event_details(data: Mapping[str, object]) -> str:
    """Format the data of an event: `attempt=2 worker_id=worker_1`."""
    return " ".join(f"{name}={_value(value)}" for name, value in data.items() if value is not None)


def _settings(job: "Job") -> list[tuple[str, Cell]]:
    attempt = f"{job.attempt} of {max(job.max_retries, 1)}"
    backoff = str(job.retry_backoff)
    if backoff != "none":
        first, longest = job.retry_base_delay_ms / 1000, job.retry_max_delay_ms / 1000
        backoff += f" from {span(first)} to {span(longest)}"
    priority = getattr(job.priority, "label", job.priority)
    suffix = " (cancelling)" if job.cancel_requested else ""
    return [
        ("queue", Cell(job.queue)),
        ("state", Cell(f"{job.state}{suffix}", str(job.state))),
        ("priority", Cell(priority)),
        ("attempt", Cell(f"{attempt}, backoff {backoff}")),
        ("progress", Cell(progress(job.progress))),
        ("unique key", Cell(job.unique_key)),
        ("concurrency key", Cell(job.concurrency_key)),
        ("batch", Cell(job.batch_id)),
        ("tags", Cell(tags(job.tags))),
    ]


def _worker(job: "Job", now: datetime) -> list[tuple[str, Cell]]:
    worker = job.worker_id or ""
    if job.hostname:
        worker += f" on {job.hostname}"
    lease = age(job.lease_expires_at, now)
    return [("worker", Cell(worker)), ("lease ends", Cell(lease))]


def _times(job: "Job", now: datetime) -> list[tuple[str, Cell]]:
    moments = [(name, getattr(job, name)) for name in _TIMES]
    return [
        (name.removesuffix("_at").replace("expire", "expires"), Cell(moment(at, now)))
        for name, at in moments
    ]


def _documents(texts: Mapping[str, str]) -> list[Section]:
    return [
        Section(name, [printable(line) for line in json_text.indented(texts[name]).split("\n")])
        for name in ("payload", "checkpoint", "result")
        if texts.get(name, "null") != "null" or (name == "payload" and name in texts)
    ]


def _errors(job: "Job", now: datetime) -> list[Section]:
    return [
        Section(
            f"attempt {error.attempt} failed {age(error.created_at, now)}".rstrip(),
            [*printable_lines(error.error), *printable_lines(error.backtrace or "")],
        )
        for error in job.errors
    ]


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _share(report: "Progress") -> str:
    current, total = report.current or 0, report.total or 0
    percent = f" ({current / total:.0%})" if total else ""
    return f"{current:g}/{total:g}{percent}"
