"""Search of jobs."""

from collections.abc import Iterator
from datetime import datetime
from time import perf_counter

from msgspec import Struct

from corvo_schema import SearchFilter, SearchRequest, to_ms
from corvo_schema.errors import ErrorCode
from corvo_server.engine.access import scope_of_caller, seen_jobs, within
from corvo_server.engine.clock import Clock, wall_of
from corvo_server.engine.cursor import Cursor
from corvo_server.engine.errors import CallError
from corvo_server.engine.redaction import Redaction
from corvo_server.engine.verbs import Part, verb
from corvo_server.store.protocol import SearchTooSlow, Store
from corvo_server.store.records import JobRecord
from corvo_server.store.search import jq
from corvo_server.store.search.conditions import Condition
from corvo_server.store.search.filters import JobFilter, Span
from corvo_server.store.search.search import Search, Total

_SLOW_FILTERS = ("payload_jq", "payload_contains", "error_contains")
"""Filters that no index supports: a search has to read every candidate."""


class Page(Struct, frozen=True):
    """One page of a search."""

    jobs: list[JobRecord]
    total: Total
    cursor: str | None
    """Cursor of the next page; None on the last page."""
    seconds: float


class Searches(Part):
    """The verb of search."""

    def __init__(self, store: Store, clock: Clock, redaction: Redaction) -> None:
        self._store = store
        self._redaction = redaction
        self._clock = clock
        self._wall = wall_of(clock)

    @verb
    async def jobs(self, request: SearchRequest, caller: str | None = None) -> Page:
        """Return the requested page and the total number of matching jobs.

        Callers share the time of costly searches; `caller` is an address. Raise `CallError` for an
        invalid cursor or filter, for a filter by values that the caller may not see, or if the
        search takes too long.
        """
        started = perf_counter()
        cursor = None if request.cursor is None else Cursor.read(request.cursor, request)
        wanted = job_filter(request, wall_offset=self._wall.offset)
        wanted = await within(scope_of_caller(), wanted, self._store)
        search = Search(
            await self._redaction.searchable(request, wanted, self._store),
            as_of=self._clock() if cursor is None else cursor.as_of,
            limit=request.limit,
            sort=request.sort,
            order=request.order,
            after=None if cursor is None else cursor.position,
            total=None if cursor is None else Total(cursor.total, cursor.is_exact),
            caller=caller,
        )
        try:
            found = await self._store.search(search)
        except SearchTooSlow as error:
            raise too_slow(error, request) from None
        following = (
            None
            if found.next is None
            else Cursor.of(request, found.next, found.total, search.as_of).write()
        )
        jobs = self._redaction.jobs(seen_jobs(found.jobs))
        return Page(jobs, found.total, following, perf_counter() - started)


def job_filter(filters: SearchFilter, at: str = "", *, wall_offset: int = 0) -> JobFilter:
    """Return the store's filter for that of a request. `at` is its path there, e.g. `filter.`.

    The times of the request are wall-clock times; `wall_offset` (ms) makes them server times.

    Raise `CallError` for an invalid expression in `payload_jq`.
    """

    def span(after: datetime | None, before: datetime | None) -> Span:
        ends = (None if end is None else to_ms(end) - wall_offset for end in (after, before))
        return Span(*ends)

    return JobFilter(
        queue=filters.queue,
        states=frozenset(filters.state),
        priority=filters.priority,
        tags=filters.tags,
        payload_contains=filters.payload_contains,
        payload=None if filters.payload_jq is None else _condition(filters.payload_jq, at),
        created=span(filters.created_after, filters.created_before),
        scheduled=span(filters.scheduled_after, filters.scheduled_before),
        started=span(filters.started_after, filters.started_before),
        completed=span(filters.completed_after, filters.completed_before),
        failed=span(filters.failed_after, filters.failed_before),
        expire=span(filters.expire_after, filters.expire_before),
        attempt_min=filters.attempt_min,
        attempt_max=filters.attempt_max,
        unique_key=filters.unique_key,
        batch_id=filters.batch_id,
        worker_id=filters.worker_id,
        has_errors=filters.has_errors,
        error_contains=filters.error_contains,
        error_scope=filters.error_scope,
        id_prefix=filters.job_id_prefix,
    )


def _condition(expression: str, at: str) -> Condition:
    try:
        return jq.parse(expression)
    except jq.JqError as error:
        field = f"{at}payload_jq"
        message = f"{field} cannot be read {error}."
        raise CallError(ErrorCode.VALIDATION_ERROR, message, [(field, str(error))]) from None


def too_slow(error: SearchTooSlow, filters: SearchFilter, at: str = "") -> CallError:
    """Return the error for a search that exceeds its time limit. A repetition would fail too."""
    smaller = ", or ask for a smaller page" if isinstance(filters, SearchRequest) else ""
    return CallError(
        ErrorCode.VALIDATION_ERROR,
        f"The search was stopped: {error}. Narrow it down, e.g. by queue, state, tags or "
        f"created_after{smaller}.",
        [(field, "looks at too many jobs") for field in _slow_fields(filters, at)],
    )


def _slow_fields(filters: SearchFilter, at: str) -> Iterator[str]:
    given = [f"{at}{field}" for field in _SLOW_FILTERS if getattr(filters, field) is not None]
    yield from given or [at.removesuffix(".") or "body"]
