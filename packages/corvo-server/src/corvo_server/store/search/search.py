"""What the engine and a store hand each other about searches."""

from msgspec import Struct

from corvo_schema import SortField, SortOrder
from corvo_server.store.records import JobRecord
from corvo_server.store.search.filters import JobFilter


class Position(Struct, frozen=True):
    """The place of a job in the order of a search: by the sort field, then by `seq`."""

    key: int | str | None
    """Of the sort field. None among the jobs that have none, which come last in either order, and
    where the order is that of `seq` alone."""
    seq: int


class Total(Struct, frozen=True):
    """How many jobs match; at least so many, when counting all would have taken too long."""

    jobs: int
    is_exact: bool = True


class Search(Struct, frozen=True):
    """A request for one page."""

    wanted: JobFilter
    as_of: int
    """When the walk through the pages began. A start, completion or failure after that counts as
    none: the job keeps the place that it had, and is not met twice or missed."""
    limit: int
    sort: SortField = SortField.CREATED_AT
    order: SortOrder = SortOrder.DESC
    after: Position | None = None
    """The last job of the page before."""
    total: Total | None = None
    """Known from the first page; None counts."""
    count_seconds: float = 0.005
    """How long counting may go on once it has looked at more jobs than is quickly done."""


class Found(Struct, frozen=True):
    """One page."""

    jobs: list[JobRecord]
    """Not more than asked for; fewer also when their documents are large."""
    total: Total
    next: Position | None
    """Where the next page begins; None when nothing follows."""
