"""The table of jobs."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from corvo_cli.human import age
from corvo_cli.show.job_view import progress
from corvo_cli.show.views import Cell, Column, Table, state

if TYPE_CHECKING:
    from corvo_client import Job

_LONGEST = 120
_COLUMNS = (
    Column("JOB"),
    Column("QUEUE"),
    Column("STATE"),
    Column("PRIORITY"),
    Column("ATTEMPT", is_number=True),
    Column("CREATED"),
    Column("DETAILS", can_shrink=True),
)


def job_table(
    jobs: "Sequence[Job]", payloads: Sequence[str], now: datetime, *, has_titles: bool = True
) -> Table:
    """Return a table of jobs. DETAILS has the last error, else the progress, else the payload.

    A completed job shows no error: its last attempt succeeded.
    """
    rows = [_row(job, payload, now) for job, payload in zip(jobs, payloads, strict=True)]
    return Table(_COLUMNS, rows, has_titles)


def _row(job: "Job", payload: str, now: datetime) -> Sequence[Cell]:
    return (
        Cell(job.id),
        Cell(job.queue),
        state(job.state),
        Cell(getattr(job.priority, "label", job.priority)),
        attempts(job),
        Cell(age(job.created_at, now)),
        details(job, payload),
    )


def attempts(job: "Job") -> Cell:
    """Return the cell of the attempts: `1/3`."""
    return Cell(f"{job.attempt}/{max(job.max_retries, 1)}")


def details(job: "Job", payload: str = "") -> Cell:
    """Return the cell of the last error, else of the progress, else of the payload."""
    if job.errors and job.state != "completed":
        return Cell(_shortened(job.errors[-1].error), "error")
    return Cell(_shortened(progress(job.progress) or payload), "faint")


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
