"""Views of queues."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from corvo_cli.human import moment, span
from corvo_cli.show.views import Cell, Column, Fields, Table, View, state

if TYPE_CHECKING:
    from datetime import datetime

    from corvo_client import QueueInfo

_DURATIONS = ("retry_base_delay", "retry_max_delay", "unique_period", "expire_after")
STATES = ("pending", "active", "scheduled", "retrying", "completed", "dead", "cancelled")


def queues_view(queues: "Sequence[QueueInfo]") -> View:
    """Return a table with a row for each queue."""
    columns = [
        Column("QUEUE"),
        Column("STATUS"),
        *[Column(name.upper(), is_number=True) for name in STATES],
        Column("OLDEST", is_number=True),
        Column("LIMITS", can_shrink=True),
    ]
    rows = [
        (
            Cell(queue.name),
            status(queue),
            *[counted(queue, name) for name in STATES],
            oldest(queue),
            Cell(limits(queue)),
        )
        for queue in queues
    ]
    return [Table(columns, rows)]


def queue_view(queue: "QueueInfo", now: "datetime") -> View:
    """Return all details of one queue."""
    return [
        Fields(
            [
                ("queue", Cell(queue.name)),
                ("status", status(queue)),
                *[(name, Cell(f"{getattr(queue, name):,}")) for name in STATES],
                ("oldest pending", oldest(queue)),
                ("limits", Cell(limits(queue))),
                ("defaults", Cell(defaults(queue))),
                ("payload", Cell(payload(queue))),
                ("enqueued", Cell(f"{queue.enqueued:,} in all")),
                ("failed", Cell(f"{queue.failed:,} attempts in all")),
                ("created", Cell(moment(queue.created_at, now))),
            ]
        )
    ]


def status(queue: "QueueInfo") -> Cell:
    """Return whether the queue is `ok`, `paused` or `draining`."""
    return state("draining" if queue.draining else "paused" if queue.paused else "ok")


def limits(queue: "QueueInfo") -> str:
    """Format the limits of a queue: `10 active, 2 per key, 100 per 1m`."""
    parts = []
    if queue.max_concurrency is not None:
        parts.append(f"{queue.max_concurrency:,} active")
    if queue.max_per_key is not None:
        parts.append(f"{queue.max_per_key:,} per key")
    if queue.rate_limit is not None:
        parts.append(f"{queue.rate_limit:,} per {_window(queue.rate_window_ms or 0)}")
    return ", ".join(parts)


def defaults(queue: "QueueInfo") -> str:
    """Format the default options of a queue: `max_retries 5, expire_after 1h`."""
    if queue.defaults is None:
        return ""
    given = queue.defaults.model_dump(mode="json", exclude_none=True)
    parts = []
    for name, value in given.items():
        if name in _DURATIONS:
            parts.append(f"{name} {value}s" if isinstance(value, int) else f"{name} {value}")
        elif name == "tags":
            parts += [f"tag {key}={text}" for key, text in value.items()]
        elif name not in ("payload_schema", "updated_at"):
            parts.append(f"{name} {value}")
    return ", ".join(parts)


def payload(queue: "QueueInfo") -> str:
    """Return the names of the members of the payload, if its schema was published."""
    schema = None if queue.defaults is None else queue.defaults.payload_schema
    members = None if schema is None else schema.get("properties")
    return ", ".join(members) if isinstance(members, dict) else ""


def oldest(queue: "QueueInfo") -> Cell:
    """Return the waiting time of the oldest pending job; empty if none is pending."""
    return Cell("" if queue.oldest_pending_ms is None else span(queue.oldest_pending_ms / 1000))


def counted(queue: "QueueInfo", name: str) -> Cell:
    """Return the number of the queue's jobs in a state. Zero is faint."""
    number = getattr(queue, name)
    return Cell(f"{number:,}", name if number else "faint")


def _window(ms: int) -> str:
    return span(ms / 1000) if ms >= 1000 else f"{ms}ms"
