"""Records of searches that the engine and a store exchange. Times are in ms since the epoch."""

from msgspec import Struct

from corvo_schema import SortField, SortOrder
from corvo_server.store.records import JobRecord
from corvo_server.store.search.filters import JobFilter


class Position(Struct, frozen=True):
    """The position of a job in the order of a search: by the sort field, then by `seq`."""

    key: int | str | None
    """Value of the sort field; None if the job lacks it, or if jobs are sorted by `seq` alone."""
    seq: int


class Total(Struct, frozen=True):
    """The number of matching jobs."""

    jobs: int
    is_exact: bool = True
    """False if counting took too long; then at least `jobs` jobs match."""


class Search(Struct, frozen=True):
    """A request for one page of a search."""

    wanted: JobFilter
    as_of: int
    """Time of the first page. A later start, completion or failure does not change the position of
    a job, so that no page repeats or misses it."""
    limit: int
    """Largest number of jobs of the page."""
    sort: SortField = SortField.CREATED_AT
    order: SortOrder = SortOrder.DESC
    after: Position | None = None
    """Position of the last job of the previous page; None for the first page."""
    total: Total | None = None
    """Total from the first page; None to count the matching jobs."""
    caller: str | None = None
    """For whom the search runs. Callers share the connections for searches fairly."""
    count_seconds: float = 0.005
    """Seconds that counting may take beyond a first number of jobs that is counted quickly."""


class SearchLoad(Struct, frozen=True):
    """The number of searches of a store that run, wait, and were refused."""

    costly: int
    """Number of costly searches that run."""
    waiting: int
    """Number of searches that wait for a connection."""
    refused: int
    """Number of searches so far that waited for too long."""


class Found(Struct, frozen=True):
    """One page of a search."""

    jobs: list[JobRecord]
    """Jobs of the page; fewer than the limit at the end, or if their documents are large."""
    total: Total
    next: Position | None
    """Position after which the next page begins; None on the last page."""
