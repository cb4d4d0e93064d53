"""Searching jobs: one page in an order, and how many match in all.

Pages are cut by the last job of the page before (a keyset), never by an offset. Where few
candidates are known they are all looked at; else the jobs are walked in the wanted order until the
page is full, newest first as a rule, which ends early for whatever is common. Where what is common
lies far away after all, the walk is given up for the candidates.
"""

import sqlite3
from collections.abc import Iterator
from itertools import starmap
from time import perf_counter
from typing import NamedTuple

from corvo_schema import SortOrder
from corvo_server.store.filters import JobFilter
from corvo_server.store.fragments import Sql, all_of, bind, fuse
from corvo_server.store.phases import Phase, phases_of
from corvo_server.store.records import JobRecord
from corvo_server.store.search import Found, Position, Search, Total
from corvo_server.store.sqlite.jobs import find_jobs
from corvo_server.store.sqlite.rows import SQL, fetch_one
from corvo_server.store.sqlite.scope import Scope, Window, seq_of

_LARGEST_PAGE = 8 * 1024 * 1024
"""Characters of documents in one page, beyond which it ends early."""
_LOADED_TOGETHER = 50

_COUNTED_ALWAYS = 200_000
"""Steps that counting may take in any case."""
_COUNT_STEP = 20_000
"""Jobs looked at in one statement beyond that, until the time is up."""

_COMPLETION = "jobs.finished_at"
_FIRST_OF_QUEUES = """
SELECT jobs.seq, jobs.id, jobs.finished_at
FROM queues AS q CROSS JOIN jobs ON jobs.seq IN (
    SELECT jobs.seq FROM jobs INDEXED BY jobs_finished
    WHERE jobs.state = 4 AND jobs.queue = q.name AND jobs.finished_at IS NOT NULL AND {{}}
    ORDER BY jobs.finished_at {order}, jobs.seq {order} LIMIT {{}}
)
ORDER BY jobs.finished_at {order}, jobs.seq {order} LIMIT {{}}"""


def search(connection: sqlite3.Connection, request: Search) -> Found:
    """One page of the jobs that match, with the number of all of them."""
    started = perf_counter()
    scope = Scope(connection, request.wanted)
    rows = _page(scope, request)
    has_more = len(rows) > request.limit
    jobs = _load(connection, [row.id for row in rows[: request.limit]])
    end = rows[len(jobs) - 1] if len(jobs) < len(rows) else None
    total = request.total
    if total is None:
        if request.after is None and not has_more:
            total = Total(len(rows))
        elif rows[0].matches is not None:
            total = Total(rows[0].matches)
        else:
            # Whoever waited for the page is not surprised to wait as long for the total.
            seconds = max(request.count_seconds, perf_counter() - started)
            total = _count(scope, len(rows), seconds)
    return Found(jobs, total, None if end is None else Position(end.key, end.seq))


def matching_ids(
    connection: sqlite3.Connection, wanted: JobFilter, after_seq: int, limit: int
) -> list[tuple[int, str]]:
    """The (seq, id) of the first `limit` matching jobs beyond `after_seq`, oldest first."""
    after = Position(None, after_seq)
    request = Search(wanted, as_of=0, limit=limit, order=SortOrder.ASC, after=after)
    rows = _page(Scope(connection, wanted), request)
    return [(row.seq, row.id) for row in rows[:limit]]


class _Row(NamedTuple):
    seq: int
    id: str
    key: int | str | None
    matches: int | None = None
    """Of the whole search, where they came to light with the page."""


# Pages


def _page(scope: Scope, request: Search) -> list[_Row]:
    """The rows of the page, and one more if more match."""
    phases = phases_of(request)
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
    scope: Scope, request: Search, phase: Phase, after: Position | None, needed: int
) -> Iterator[_Row]:
    if phase.key is None:
        return _by_creation(scope, request, phase, after, needed)
    if phase.key == _COMPLETION and scope.is_of_finished:
        page = _by_completion(scope, request, after, needed)
    else:
        page = _by_key(scope, request, phase, after, needed)
    return starmap(_Row, scope.connection.execute(*page))


def _by_creation(
    scope: Scope, request: Search, phase: Phase, after: Position | None, needed: int
) -> Iterator[_Row]:
    """Up to `needed` jobs in the order of their seqs: by a walk, and from there by a source."""
    is_upward = request.order is SortOrder.ASC
    window = scope.window
    if after is not None:
        window = window.beyond(after.seq, is_upward=is_upward)
    known = request.total.jobs if request.total and request.total.is_exact else None
    way = scope.way_to_first(needed, known)
    near, far = window.cut(way.walk, is_upward=is_upward)
    order = Sql("ASC" if is_upward else "DESC")
    columns = "jobs.seq, jobs.id, NULL"
    if way.walk:
        walk = scope.select(columns, None, phase.condition, window=near)
        statement = fuse("{} ORDER BY jobs.seq {} LIMIT {}", walk, order, bind(needed))
        for row in starmap(_Row, scope.connection.execute(*statement)):
            needed -= 1
            yield row
    source = way.source
    if source is None or needed == 0 or far.first > far.last:
        return
    if source.steps is not None and phase.is_all:
        source = source.first(needed, *far, order)
    elif phase.is_all and far == scope.window:
        columns += ", count(*) OVER ()"  # all are looked at anyhow
    rest = scope.select(columns, source, phase.condition, window=far)
    statement = fuse("{} ORDER BY c.seq {} LIMIT {}", rest, order, bind(needed))
    yield from starmap(_Row, scope.connection.execute(*statement))


def _by_key(
    scope: Scope, request: Search, phase: Phase, after: Position | None, needed: int
) -> Sql:
    """Up to `needed` jobs of a phase: those of the narrowest source, or of all, sorted."""
    source, _ = scope.source_of_all()
    seq = seq_of(source)
    order, beyond = ("ASC", ">") if request.order is SortOrder.ASC else ("DESC", "<")
    conditions = [phase.condition]
    if after is not None:
        place = f"({phase.key}, {seq}) {beyond} ({{}}, {{}})"
        conditions.append(fuse(place, bind(after.key), bind(after.seq)))
    columns = f"jobs.seq, jobs.id, {phase.key}"
    if source is not None and phase.is_all and after is None:
        columns += ", count(*) OVER ()"  # all are looked at anyhow
    return fuse(
        f"{{}} ORDER BY {phase.key} {order}, {seq} {order} LIMIT {{}}",
        scope.select(columns, source, *conditions),
        bind(needed),
    )


def _by_completion(scope: Scope, request: Search, after: Position | None, needed: int) -> Sql:
    """Up to `needed` jobs in the order of their completion, from the index of each queue."""
    is_upward = request.order is SortOrder.ASC
    conditions = [scope.condition]
    if is_upward or after is None:  # of two upper bounds SQLite would use only one
        conditions.append(fuse("jobs.finished_at <= {}", bind(request.as_of)))
    if after is not None:
        place = f"(jobs.finished_at, jobs.seq) {'>' if is_upward else '<'} ({{}}, {{}})"
        conditions.append(fuse(place, bind(after.key), bind(after.seq)))
    return fuse(
        _FIRST_OF_QUEUES.format(order="ASC" if is_upward else "DESC"),
        all_of(conditions),
        bind(needed),
        bind(needed),
    )


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


def _count(scope: Scope, seen: int, seconds: float) -> Total:
    """How many jobs match; `seen` is how many are known to."""
    if scope.is_counted:
        return Total(scope.census.jobs(scope.wanted.queue, scope.wanted.states))
    source, steps = scope.source_of_all()
    if steps <= _COUNTED_ALWAYS:
        (jobs,) = fetch_one(scope.connection, *scope.select("count(*)", source))
        return Total(jobs)
    return _count_walking(scope, seen, seconds)


def _count_walking(scope: Scope, seen: int, seconds: float) -> Total:
    """Count from the newest job backwards, until all are looked at or the time is up."""
    deadline = perf_counter() + seconds
    jobs = 0
    first, last = scope.window
    while True:
        (low,) = fetch_one(scope.connection, SQL.seq_before, (last, _COUNT_STEP))
        step = scope.select("count(*)", None, window=Window(max(low, first), last))
        (matches,) = fetch_one(scope.connection, *step)
        jobs += matches
        last = low - 1
        if last < first:
            return Total(jobs)
        if perf_counter() >= deadline:
            return Total(max(jobs, seen), is_exact=False)
