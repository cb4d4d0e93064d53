"""The table rows, event lines and summary of the live view, as styled text."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.text import Text

from corvo_cli.human import age, count, printable, span
from corvo_cli.show.job_table import attempts, details
from corvo_cli.show.job_view import event_details
from corvo_cli.show.queue_view import counted, limits, oldest, status
from corvo_cli.show.views import Cell, state
from corvo_cli.top.snapshots import QueueRates, Snapshots

if TYPE_CHECKING:
    from corvo_client import Job, JobEvent, WorkerInfo

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

JOBS = ("JOB", "STATE", "ATTEMPT", "CREATED", "DETAILS")

Row = tuple[str, Sequence[Text]]
"""The key of a table row, and its cells."""


def queue_rows(queues: Sequence[QueueRates]) -> list[Row]:
    """Return a row for each queue. The key is the name of the queue."""
    return [(rates.queue.name, [_text(cell) for cell in _queue_cells(rates)]) for rates in queues]


def worker_rows(workers: "Sequence[WorkerInfo]", now: datetime) -> list[Row]:
    """Return a row for each worker, most active jobs first. The key is the id of the worker."""
    ordered = sorted(workers, key=lambda worker: (-worker.active_jobs, worker.id))
    return [(worker.id, [_text(cell) for cell in _worker_cells(worker, now)]) for worker in ordered]


def job_rows(jobs: "Sequence[Job]", now: datetime) -> list[Row]:
    """Return a row for each job, in this order. The key is the id of the job."""
    return [
        (
            job.id,
            [
                _text(cell)
                for cell in (
                    Cell(job.id),
                    state(job.state),
                    attempts(job),
                    Cell(age(job.created_at, now)),
                    details(job),
                )
            ],
        )
        for job in jobs
    ]


def event_line(event: "JobEvent") -> Text:
    """Return one line of the event log."""
    return Text.assemble(
        f"{event.created_at:%H:%M:%S} ",
        (f"{event.type:<16} ", state(event.type).style),
        f"{printable(event.queue)} {printable(event.job_id)} ",
        (printable(event_details(event.data)), "dim"),
        no_wrap=True,
    )


def summary(url: str, snapshots: Snapshots, now: datetime, mode: str) -> Text:
    """Return the header: server status and the totals of all queues."""
    latest = snapshots.latest
    if latest is None:
        return Text(f"{url}  {printable(mode)}")
    total = snapshots.total()
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
        f"  in {total.enqueued_per_s:.1f}/s  out {total.ended_per_s:.1f}/s"
        f"  failed {total.failed_per_s:.1f}/s",
    )


def _queue_cells(rates: QueueRates) -> Sequence[Cell]:
    queue = rates.queue
    return (
        Cell(queue.name),
        status(queue),
        *[counted(queue, name) for name in _COUNTED],
        _rate(rates.enqueued_per_s),
        _rate(rates.ended_per_s),
        _rate(rates.failed_per_s, "error"),
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
