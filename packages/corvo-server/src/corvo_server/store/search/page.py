"""Assembly of one page of a search from its rows, the same on every engine."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from corvo_server.store.records import JobRecord
from corvo_server.store.search.search import Found, Position, Search, Total
from corvo_server.store.sizes import count_fitting

_LARGEST_PAGE = 8 * 1024 * 1024
"""Bytes of documents and errors of a page, unless it has a single job."""
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
    sizes: Callable[[Sequence[str]], dict[str, int]],
    count: Callable[[], Total],
) -> Found:
    """Load the jobs of `rows` and return the page with its total and the next position.

    `rows` must have one row more than the page if more jobs match. `sizes` returns the bytes of
    jobs. `count` is called only if the total is not known otherwise.
    """
    has_more = len(rows) > request.limit
    jobs = _load([row.id for row in rows[: request.limit]], find_jobs, sizes)
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
    job_ids: Sequence[str],
    find_jobs: Callable[[Sequence[str]], list[JobRecord]],
    sizes: Callable[[Sequence[str]], dict[str, int]],
) -> list[JobRecord]:
    """Return full jobs in the given order, stopping early when their documents are too large."""
    jobs: list[JobRecord] = []
    room = _LARGEST_PAGE
    for start in range(0, len(job_ids), _JOBS_PER_LOAD):
        some = job_ids[start : start + _JOBS_PER_LOAD]
        size_of = sizes(some)
        in_order = [size_of[job_id] for job_id in some]
        if jobs and in_order[0] > room:
            break
        fitting = count_fitting(in_order, room)
        jobs += find_jobs(some[:fitting])
        room -= sum(in_order[:fitting])
        if fitting < len(some):
            break
    return jobs
