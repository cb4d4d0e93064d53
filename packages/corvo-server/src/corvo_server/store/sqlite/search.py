"""Searching jobs: one page in an order, and how many match in all.

Pages are cut by the last job of the page before (a keyset), never by an offset. Where few
candidates are known they are all looked at; else the jobs are walked in the wanted order until the
page is full, newest first as a rule, which ends early for whatever is common. Where what is common
lies far away after all, the walk is given up for the candidates.
"""

import sqlite3
from collections.abc import Iterator
from functools import partial
from itertools import starmap
from time import perf_counter

from corvo_schema import SortOrder
from corvo_server.store.search.filters import JobFilter
from corvo_server.store.search.fragments import Sql, all_of, bind, fuse
from corvo_server.store.search.order import Phase, phases_of
from corvo_server.store.search.page import Row, to_page
from corvo_server.store.search.search import Found, Position, Search, Total
from corvo_server.store.sqlite.jobs import find_jobs
from corvo_server.store.sqlite.plan import Plan, Window, seq_of
from corvo_server.store.sqlite.rows import SQL, fetch_one

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
    plan = Plan(connection, request.wanted)
    rows = _page(plan, request)

    def count() -> Total:
        # The caller waited for the page, and may wait as long again for the total.
        seconds = max(request.count_seconds, perf_counter() - started)
        return _count(plan, len(rows), seconds)

    return to_page(request, rows, partial(find_jobs, connection), count)


def matching_ids(
    connection: sqlite3.Connection, wanted: JobFilter, after_seq: int, limit: int
) -> list[tuple[int, str]]:
    """The (seq, id) of the first `limit` matching jobs beyond `after_seq`, oldest first."""
    after = Position(None, after_seq)
    request = Search(wanted, as_of=0, limit=limit, order=SortOrder.ASC, after=after)
    rows = _page(Plan(connection, wanted), request)
    return [(row.seq, row.id) for row in rows[:limit]]


# Pages


def _page(plan: Plan, request: Search) -> list[Row]:
    """The rows of the page, and one more if more match."""
    phases = phases_of(request)
    after = request.after
    if after is not None and after.key is None:
        phases = phases[-1:]
    rows: list[Row] = []
    for phase in phases:
        needed = request.limit + 1 - len(rows)
        if needed > 0:
            rows += _page_of(plan, request, phase, after, needed)
        after = None
    return rows


def _page_of(
    plan: Plan, request: Search, phase: Phase, after: Position | None, needed: int
) -> Iterator[Row]:
    if phase.key is None:
        return _by_creation(plan, request, phase, after, needed)
    if phase.key == _COMPLETION and plan.is_of_finished:
        page = _by_completion(plan, request, after, needed)
    else:
        page = _by_key(plan, request, phase, after, needed)
    return starmap(Row, plan.connection.execute(*page))


def _by_creation(
    plan: Plan, request: Search, phase: Phase, after: Position | None, needed: int
) -> Iterator[Row]:
    """Up to `needed` jobs in the order of their seqs: by a walk, and from there by a candidates."""
    is_upward = request.order is SortOrder.ASC
    window = plan.window
    if after is not None:
        window = window.beyond(after.seq, is_upward=is_upward)
    known = request.total.jobs if request.total and request.total.is_exact else None
    route = plan.route_to_first(needed, known)
    near, far = window.cut(route.walk, is_upward=is_upward)
    order = Sql("ASC" if is_upward else "DESC")
    columns = "jobs.seq, jobs.id, NULL"
    if route.walk:
        walk = plan.select(columns, None, phase.condition, window=near)
        statement = fuse("{} ORDER BY jobs.seq {} LIMIT {}", walk, order, bind(needed))
        for row in starmap(Row, plan.connection.execute(*statement)):
            needed -= 1
            yield row
    candidates = route.candidates
    if candidates is None or needed == 0 or far.first > far.last:
        return
    if candidates.steps is not None and phase.is_all:
        candidates = candidates.first(needed, *far, order)
    elif phase.is_all and far == plan.window:
        columns += ", count(*) OVER ()"  # all are looked at anyhow
    rest = plan.select(columns, candidates, phase.condition, window=far)
    statement = fuse("{} ORDER BY c.seq {} LIMIT {}", rest, order, bind(needed))
    yield from starmap(Row, plan.connection.execute(*statement))


def _by_key(plan: Plan, request: Search, phase: Phase, after: Position | None, needed: int) -> Sql:
    """Up to `needed` jobs of a phase: those of the narrowest candidates, or of all, sorted."""
    candidates, _ = plan.candidates_of_all()
    seq = seq_of(candidates)
    order, beyond = ("ASC", ">") if request.order is SortOrder.ASC else ("DESC", "<")
    conditions = [phase.condition]
    if after is not None:
        place = f"({phase.key}, {seq}) {beyond} ({{}}, {{}})"
        conditions.append(fuse(place, bind(after.key), bind(after.seq)))
    columns = f"jobs.seq, jobs.id, {phase.key}"
    if candidates is not None and phase.is_all and after is None:
        columns += ", count(*) OVER ()"  # all are looked at anyhow
    return fuse(
        f"{{}} ORDER BY {phase.key} {order}, {seq} {order} LIMIT {{}}",
        plan.select(columns, candidates, *conditions),
        bind(needed),
    )


def _by_completion(plan: Plan, request: Search, after: Position | None, needed: int) -> Sql:
    """Up to `needed` jobs in the order of their completion, from the index of each queue."""
    is_upward = request.order is SortOrder.ASC
    conditions = [plan.condition]
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


# Totals


def _count(plan: Plan, seen: int, seconds: float) -> Total:
    """How many jobs match; `seen` is how many are known to."""
    if plan.is_counted:
        return Total(plan.state_counts.jobs(plan.wanted.queue, plan.wanted.states))
    candidates, steps = plan.candidates_of_all()
    if steps <= _COUNTED_ALWAYS:
        (jobs,) = fetch_one(plan.connection, *plan.select("count(*)", candidates))
        return Total(jobs)
    return _count_walking(plan, seen, seconds)


def _count_walking(plan: Plan, seen: int, seconds: float) -> Total:
    """Count from the newest job backwards, until all are looked at or the time is up."""
    deadline = perf_counter() + seconds
    jobs = 0
    first, last = plan.window
    while True:
        (low,) = fetch_one(plan.connection, SQL.seq_before, (last, _COUNT_STEP))
        step = plan.select("count(*)", None, window=Window(max(low, first), last))
        (matches,) = fetch_one(plan.connection, *step)
        jobs += matches
        last = low - 1
        if last < first:
            return Total(jobs)
        if perf_counter() >= deadline:
            return Total(max(jobs, seen), is_exact=False)
