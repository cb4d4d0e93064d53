"""One page of a search: what both engines do once they have found the rows of it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from corvo_server.store.records import JobRecord
from corvo_server.store.search.search import Found, Position, Search, Total

_LARGEST_PAGE = 8 * 1024 * 1024
"""Characters of documents after which a page ends early."""
_LOADED_TOGETHER = 50


class Row(NamedTuple):
    """A job of a page, before its documents are loaded."""

    seq: int
    id: str
    key: int | str | None
    """The value of the sort field."""
    matches: int | None = None
    """How many jobs match the whole search, where the query of the page told it."""


def to_page(
    request: Search,
    rows: Sequence[Row],
    find_jobs: Callable[[Sequence[str]], list[JobRecord]],
    count: Callable[[], Total],
) -> Found:
    """Load the jobs of a page. `rows` has one row more than the page if more jobs match.

    `count` is called only if the total is not known yet.
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
    """Return full jobs in the given order, fewer when their documents exceed the size limit."""
    jobs: list[JobRecord] = []
    size = 0
    for start in range(0, len(job_ids), _LOADED_TOGETHER):
        loaded = find_jobs(job_ids[start : start + _LOADED_TOGETHER])
        jobs += loaded
        size += sum(map(_size, loaded))
        if size > _LARGEST_PAGE:
            break
    return jobs


def _size(job: JobRecord) -> int:
    return len(job.payload) + len(job.result or "") + len(job.checkpoint or "")
