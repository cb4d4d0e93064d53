"""Assembly of one page of a search from its rows, the same on every engine."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from corvo_server.store.records import JobRecord
from corvo_server.store.search.search import Found, Position, Search, Total

_LARGEST_PAGE = 8 * 1024 * 1024
"""Characters of documents at which a page ends early."""
_JOBS_PER_LOAD = 50


class Row(NamedTuple):
    """A job of a page, before its documents are loaded."""

    seq: int
    id: str
    key: int | str | None
    """The value of the sort field."""
    matches: int | None = None
    """Number of jobs that match the search; None if the query of the page did not count them."""


def to_page(
    request: Search,
    rows: Sequence[Row],
    find_jobs: Callable[[Sequence[str]], list[JobRecord]],
    count: Callable[[], Total],
) -> Found:
    """Load the jobs of `rows` and return the page with its total and the next position.

    `rows` must have one row more than the page if more jobs match. `count` is called only if the
    total is not known otherwise.
    """
    has_more = len(rows) > request.limit
    jobs = _load([row.id for row in rows[: request.limit]], find_jobs)
    end = rows[len(jobs) - 1] if len(jobs) < len(rows) else None
    total = request.total
    if total is None:
        if request.after is None and not has_more:
            total = Total(len(rows))
        elif rows[0].matches is not None:
            total = Total(rows[0].matches)
        else:
            total = count()
    return Found(jobs, total, None if end is None else Position(end.key, end.seq))


def _load(
    job_ids: Sequence[str], find_jobs: Callable[[Sequence[str]], list[JobRecord]]
) -> list[JobRecord]:
    """Return full jobs in the given order, stopping early when their documents are too large."""
    jobs: list[JobRecord] = []
    size = 0
    for start in range(0, len(job_ids), _JOBS_PER_LOAD):
        loaded = find_jobs(job_ids[start : start + _JOBS_PER_LOAD])
        jobs += loaded
        size += sum(map(_size, loaded))
        if size > _LARGEST_PAGE:
            break
    return jobs


def _size(job: JobRecord) -> int:
    return len(job.payload) + len(job.result or "") + len(job.checkpoint or "")
