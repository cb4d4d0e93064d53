"""The lines of the live view, as styled text."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.text import Text

from corvo_cli.human import age, count, printable, span
from corvo_cli.show.job_view import event_details
from corvo_cli.show.queue_view import counted, limits, oldest, status
from corvo_cli.show.views import Cell, state
from corvo_cli.top.figures import Figures, Flow

if TYPE_CHECKING:
    from corvo_client import JobEvent, WorkerInfo

_COUNTED = ("pending", "active", "scheduled", "retrying", "dead")
QUEUES = (
    "QUEUE",
    "STATUS",
    *map(str.upper, _COUNTED),
    "IN/s",
    "OUT/s",
    "FAIL/s",
    "OLDEST",
    "LIMITS",
)
WORKERS = ("WORKER", "HOST", "STATUS", "ACTIVE", "HEARTBEAT", "FETCH", "QUEUES")

Line = tuple[str, Sequence[Text]]


def queue_lines(flows: Sequence[Flow]) -> list[Line]:
    """A line for each queue, under its name."""
    return [(flow.queue.name, [_text(cell) for cell in _queue_cells(flow)]) for flow in flows]


def worker_lines(workers: "Sequence[WorkerInfo]", now: datetime) -> list[Line]:
    """A line for each worker, under its id; those with the most jobs first."""
    ordered = sorted(workers, key=lambda worker: (-worker.active_jobs, worker.id))
    return [(worker.id, [_text(cell) for cell in _worker_cells(worker, now)]) for worker in ordered]


def event_line(event: "JobEvent") -> Text:
    """An event in one line."""
    return Text.assemble(
        f"{event.created_at:%H:%M:%S} ",
        (f"{event.type:<16} ", state(event.type).style),
        f"{printable(event.queue)} {printable(event.job_id)} ",
        (printable(event_details(event.data)), "dim"),
        no_wrap=True,
    )


def summary(url: str, figures: Figures, now: datetime, mode: str) -> Text:
    """What holds for all queues together."""
    latest = figures.latest
    if latest is None:
        return Text(f"{url}  {printable(mode)}")
    total = figures.total()
    starts = [node.started_at for node in latest.cluster.nodes if node.started_at is not None]
    up = f", up for {span((now - min(starts)).total_seconds())}" if starts else ""
    numbers = Text("  ").join(
        Text.assemble(f"{name} ", _text(counted(total.queue, name)))
        for name in (*_COUNTED, "completed")
    )
    health = latest.cluster.status
    return Text.assemble(
        (url, "bold"),
        "  ",
        (health, state(health).style),
        f"{up}, {count(len(latest.workers), 'worker')}, {count(len(latest.queues), 'queue')}  ",
        (printable(mode), "dim"),
        "\n",
        numbers,
        f"  in {total.came:.1f}/s  out {total.ended:.1f}/s  failed {total.failed:.1f}/s",
    )


def _queue_cells(flow: Flow) -> Sequence[Cell]:
    queue = flow.queue
    return (
        Cell(queue.name),
        status(queue),
        *[counted(queue, name) for name in _COUNTED],
        _rate(flow.came),
        _rate(flow.ended),
        _rate(flow.failed, "error"),
        oldest(queue),
        Cell(limits(queue)),
    )


def _worker_cells(worker: "WorkerInfo", now: datetime) -> Sequence[Cell]:
    return (
        Cell(worker.id),
        Cell(worker.hostname),
        state(worker.status),
        Cell(worker.active_jobs),
        Cell(age(worker.last_heartbeat, now)),
        Cell(age(worker.last_fetch, now)),
        Cell(", ".join(worker.queues)),
    )


def _rate(rate: float, style: str = "") -> Cell:
    return Cell(f"{rate:.1f}", style if rate else "faint")


def _text(cell: Cell) -> Text:
    return Text(cell, cell.style, no_wrap=True)
