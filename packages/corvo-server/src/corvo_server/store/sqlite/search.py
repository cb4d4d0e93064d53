"""Searching jobs: one page in an order, and how many match in all.

Pages are cut by the last job of the page before (a keyset), never by an offset. Where few
candidates are known they are all looked at; else the jobs are walked in the wanted order until the
page is full, newest first as a rule, which ends early for whatever is common.
"""

import sqlite3
from collections.abc import Iterator
from time import perf_counter
from typing import NamedTuple

from corvo_schema import SortField, SortOrder
from corvo_schema.states import JobState
from corvo_server.store.codes import STATE_CODES, STATES
from corvo_server.store.filters import JobFilter, where
from corvo_server.store.fragments import TRUE, Sql, all_of, bind, fuse
from corvo_server.store.records import JobRecord
from corvo_server.store.search import Found, Position, Search, Total
from corvo_server.store.sqlite.jobs import find_jobs
from corvo_server.store.sqlite.rows import SQL, fetch_one
from corvo_server.store.sqlite.sources import DIALECT, Census, Source, narrowest

_LARGEST_PAGE = 8 * 1024 * 1024
"""Characters of documents in one page, beyond which it ends early."""
_LOADED_TOGETHER = 50

_COUNT_STEP = 20_000
"""Jobs looked at in one statement when counting. So many are always counted."""

_SMALLEST_CAP = 5_000
"""Candidates that are looked up one by one at most; more on a large table."""
_STEPS_A_CANDIDATE = 13
"""Jobs that can be walked over in the time in which one candidate is looked up."""
_GUESSED_SHARE = 0.1
"""Of jobs that match filters about which nothing is known."""

_BY_NAME = {state: place for place, state in enumerate(sorted(STATES))}
_KEYS = {
    SortField.PRIORITY: "jobs.priority",
    SortField.ATTEMPT: "jobs.attempt",
    SortField.QUEUE: "jobs.queue",
    SortField.STATE: "CASE jobs.state"
    + "".join(f" WHEN {STATE_CODES[state]} THEN {place}" for state, place in _BY_NAME.items())
    + " END",
}
"""What every job has. States are in the order of their names."""
_TIMES = {
    SortField.SCHEDULED_AT: "scheduled_at",
    SortField.STARTED_AT: "started_at",
    SortField.COMPLETED_AT: "finished_at",
    SortField.FAILED_AT: "failed_at",
}
"""What a job may lack."""


def search(connection: sqlite3.Connection, request: Search) -> Found:
    """One page of the jobs that match, with the number of all of them."""
    started = perf_counter()
    scope = _Scope(connection, request.wanted)
    rows = _page(scope, request)
    has_more = len(rows) > request.limit
    jobs = _load(connection, [row.id for row in rows[: request.limit]])
    end = rows[len(jobs) - 1] if len(jobs) < len(rows) else None
    total = request.total
    if total is None:
        if request.after is None and not has_more:
            total = Total(len(rows))
        else:
            # Twice the time for a page and its total is still within what was to be expected.
            seconds = max(request.count_seconds, perf_counter() - started)
            total = _count(scope, len(rows), seconds)
    return Found(jobs, total, None if end is None else Position(end.key, end.seq))


def matching_ids(
    connection: sqlite3.Connection, wanted: JobFilter, after_seq: int, limit: int
) -> list[tuple[int, str]]:
    """The (seq, id) of the first `limit` matching jobs beyond `after_seq`, oldest first."""
    after = Position(None, after_seq)
    request = Search(wanted, 0, limit, order=SortOrder.ASC, after=after, total=Total(0))
    rows = _page(_Scope(connection, wanted), request)
    return [(row.seq, row.id) for row in rows[:limit]]


class _Row(NamedTuple):
    seq: int
    id: str
    key: int | str | None


class _Scope:
    """What is searched, and what is known of how many jobs it holds."""

    def __init__(self, connection: sqlite3.Connection, wanted: JobFilter) -> None:
        self.connection = connection
        self.wanted = wanted
        self.census = Census(connection)
        self.condition = where(wanted, DIALECT)
        self.first, self.last = _window(connection, wanted)
        cap = max(_SMALLEST_CAP, self.census.total // 100)
        self.source = narrowest(connection, wanted, self.census, cap)

    @property
    def is_counted(self) -> bool:
        """Whether the queues' counters alone tell how many match."""
        return self.wanted == JobFilter(queue=self.wanted.queue, states=self.wanted.states)

    def source_for(self, jobs: int | None) -> Source | None:
        """Where to look for the first `jobs` matches (None: for all); None is among all jobs.

        A walk through all ends with the match that fills the page. How far that is, is guessed.
        """
        if self.source is None:
            return None
        walk: float = self.last - self.first + 1
        if jobs is not None:
            matches = float(self.census.jobs(self.wanted.queue, self.wanted.states))
            if not self.is_counted:
                matches = min(matches * _GUESSED_SHARE, self.source.rows)
            walk = min(walk, jobs * self.census.total / matches if matches else walk)
        return self.source if self.source.rows * _STEPS_A_CANDIDATE <= walk else None

    def select(self, columns: str, source: Source | None, *conditions: Sql) -> Sql:
        """`columns` of the jobs from `source` that match the filter and `conditions`."""
        seq = Sql("jobs.seq" if source is None else "c.seq")
        origin = (
            Sql("jobs NOT INDEXED")
            if source is None
            else fuse("({}) AS c CROSS JOIN jobs ON jobs.seq = c.seq", source.seqs)
        )
        window = fuse("{} BETWEEN {} AND {}", seq, bind(self.first), bind(self.last))
        return fuse(
            f"SELECT {columns} FROM {{}} WHERE {{}}",  # noqa: S608 - words of this module
            origin,
            all_of([window, self.condition, *conditions]),
        )


def _window(connection: sqlite3.Connection, wanted: JobFilter) -> tuple[int, int]:
    """The first and last seq that jobs created in the wanted span can have.

    Jobs are created in the order of their seqs, so the ends of the span are found by halving.
    """
    first, last = fetch_one(connection, SQL.seq_range)
    if wanted.created.after is not None:
        first = _seq_since(connection, wanted.created.after + 1, first, last)
    if wanted.created.before is not None:
        last = _seq_since(connection, wanted.created.before, first, last) - 1
    return first, last


def _seq_since(connection: sqlite3.Connection, moment: int, first: int, last: int) -> int:
    """The least seq from `first` on that no job created before `moment` reaches."""
    low, high = first, last + 1
    while low < high:
        middle = (low + high) // 2
        seq, created_at = fetch_one(connection, SQL.job_from_seq, (middle,))
        if created_at < moment:
            low = seq + 1
        else:
            high = middle
    return low


# Pages


class _Phase(NamedTuple):
    """A part of an order: jobs that have the sort field come first, then those without it."""

    key: str | None
    condition: Sql


def _phases(request: Search) -> list[_Phase]:
    if request.sort is SortField.CREATED_AT:
        return [_Phase(None, TRUE)]
    if request.sort in _KEYS:
        return [_Phase(_KEYS[request.sort], TRUE)]
    key = f"jobs.{_TIMES[request.sort]}"
    has_key = [Sql(f"{key} IS NOT NULL")]
    if request.sort is SortField.COMPLETED_AT:
        has_key.append(fuse("jobs.state = {}", bind(STATE_CODES[JobState.COMPLETED])))
    if request.sort is not SortField.SCHEDULED_AT:  # which lies ahead as a rule
        has_key.append(fuse(f"{key} <= {{}}", bind(request.as_of)))
    return [_Phase(key, all_of(has_key)), _Phase(None, fuse("NOT {}", all_of(has_key)))]


def _page(scope: _Scope, request: Search) -> list[_Row]:
    """The rows of the page, and one more if more match."""
    phases = _phases(request)
    after = request.after
    if after is not None and after.key is None:
        phases = phases[-1:]
    rows: list[_Row] = []
    for phase in phases:
        needed = request.limit + 1 - len(rows)
        if needed > 0:
            rows += _page_of(scope, request, phase, after, needed)
        after = None
    return rows


def _page_of(
    scope: _Scope, request: Search, phase: _Phase, after: Position | None, needed: int
) -> Iterator[_Row]:
    source = scope.source_for(None if phase.key else needed)
    seq = "jobs.seq" if source is None else "c.seq"
    order, beyond = ("ASC", ">") if request.order is SortOrder.ASC else ("DESC", "<")
    conditions = [phase.condition]
    if after is not None and phase.key is None:
        conditions.append(fuse(f"{seq} {beyond} {{}}", bind(after.seq)))
    elif after is not None:
        place = f"({phase.key}, {seq}) {beyond} ({{}}, {{}})"
        conditions.append(fuse(place, bind(after.key), bind(after.seq)))
    key = phase.key or "NULL"
    page = fuse(
        f"{{}} ORDER BY {f'{phase.key} {order}, ' if phase.key else ''}{seq} {order} LIMIT {{}}",
        scope.select(f"jobs.seq, jobs.id, {key}", source, *conditions),
        bind(needed),
    )
    return map(_Row._make, scope.connection.execute(*page))


def _load(connection: sqlite3.Connection, job_ids: list[str]) -> list[JobRecord]:
    """The jobs in full, in their order; not all when their documents are very large."""
    jobs: list[JobRecord] = []
    size = 0
    for start in range(0, len(job_ids), _LOADED_TOGETHER):
        loaded = find_jobs(connection, job_ids[start : start + _LOADED_TOGETHER])
        jobs += loaded
        size += sum(map(_size, loaded))
        if size > _LARGEST_PAGE:
            break
    return jobs


def _size(job: JobRecord) -> int:
    return len(job.payload) + len(job.result or "") + len(job.checkpoint or "")


# Totals


def _count(scope: _Scope, seen: int, seconds: float) -> Total:
    """How many jobs match; `seen` is how many are known to."""
    if scope.is_counted:
        return Total(scope.census.jobs(scope.wanted.queue, scope.wanted.states))
    source = scope.source_for(None)
    if source is not None:
        (jobs,) = fetch_one(scope.connection, *scope.select("count(*)", source))
        return Total(jobs)
    return _count_walking(scope, seen, seconds)


def _count_walking(scope: _Scope, seen: int, seconds: float) -> Total:
    """Count from the newest job backwards, until all are looked at or the time is up."""
    deadline = perf_counter() + seconds
    jobs = 0
    low = scope.last + 1
    while True:
        step = fuse(
            "SELECT count(*), coalesce(sum(is_match), 0), min(seq)"
            " FROM (SELECT jobs.seq AS seq, {} AS is_match FROM jobs NOT INDEXED"
            " WHERE jobs.seq >= {} AND jobs.seq < {} ORDER BY jobs.seq DESC LIMIT {})",
            scope.condition,
            bind(scope.first),
            bind(low),
            bind(_COUNT_STEP),
        )
        looked_at, matches, low = fetch_one(scope.connection, *step)
        jobs += matches
        if looked_at < _COUNT_STEP:
            return Total(jobs)
        if perf_counter() >= deadline:
            return Total(max(jobs, seen), is_exact=False)
