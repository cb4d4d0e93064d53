"""Search for jobs: one page in an order, and the total number of matches.

A page begins after the last job of the page before (keyset pagination); there are no offsets. If an
index gives few candidates, the search reads all of them. Otherwise it scans the jobs in the wanted
order until the page is full. If the scan finds too few matches, the search falls back to the index.
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
from corvo_server.store.sqlite.jobs import find_jobs, sizes
from corvo_server.store.sqlite.plan import Plan, Window, seq_of
from corvo_server.store.sqlite.rows import SQL, fetch_one

_MIN_COUNTED = 200_000
"""Steps up to which matches are counted exactly, without a time limit."""
_COUNT_STEP = 20_000
"""Jobs that one counting statement reads; the time limit is checked after each statement."""

_COMPLETION = "jobs.finished_at"
_FIRST_PER_QUEUE = """
SELECT jobs.seq, jobs.id, jobs.finished_at
FROM queues AS q CROSS JOIN jobs ON jobs.seq IN (
    SELECT jobs.seq FROM jobs INDEXED BY jobs_finished
    WHERE jobs.state = 4 AND jobs.queue = q.name AND jobs.finished_at IS NOT NULL AND {{}}
    ORDER BY jobs.finished_at {order}, jobs.seq {order} LIMIT {{}}
)
ORDER BY jobs.finished_at {order}, jobs.seq {order} LIMIT {{}}"""


def search(connection: sqlite3.Connection, request: Search) -> Found:
    """Return one page of matching jobs, and their total number (exact or a lower bound)."""
    started = perf_counter()
    plan = Plan(connection, request.wanted)
    rows = _page(plan, request)

    def count() -> Total:
        # A page that took long to find allows as much time again for the total.
        seconds = max(request.count_seconds, perf_counter() - started)
        return _count(plan, len(rows), seconds)

    return to_page(request, rows, partial(find_jobs, connection), partial(sizes, connection), count)


def matching_ids(
    connection: sqlite3.Connection, wanted: JobFilter, after_seq: int, limit: int
) -> list[tuple[int, str]]:
    """Return (seq, id) of the first `limit` matching jobs with a seq above `after_seq`."""
    after = Position(None, after_seq)
    request = Search(wanted, as_of=0, limit=limit, order=SortOrder.ASC, after=after)
    rows = _page(Plan(connection, wanted), request)
    return [(row.seq, row.id) for row in rows[:limit]]


# Pages


def _page(plan: Plan, request: Search) -> list[Row]:
    """Return the rows of the page, and one more if there is a further page."""
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
    if phase.key == _COMPLETION and plan.is_answered_by_finished_index:
        page = _by_completion(plan, request, after, needed)
    else:
        page = _by_key(plan, request, phase, after, needed)
    return starmap(Row, plan.connection.execute(*page))


def _by_creation(
    plan: Plan, request: Search, phase: Phase, after: Position | None, needed: int
) -> Iterator[Row]:
    """Yield up to `needed` jobs ordered by seq: first from a scan, then from the candidates."""
    is_upward = request.order is SortOrder.ASC
    window = plan.window
    if after is not None:
        window = window.after(after.seq, is_upward=is_upward)
    known = request.total.jobs if request.total and request.total.is_exact else None
    page_plan = plan.plan_page(needed, known)
    near, far = window.split(page_plan.scan, is_upward=is_upward)
    order = Sql("ASC" if is_upward else "DESC")
    columns = "jobs.seq, jobs.id, NULL"
    if page_plan.scan:
        scan = plan.select(columns, None, phase.condition, window=near)
        statement = fuse("{} ORDER BY jobs.seq {} LIMIT {}", scan, order, bind(needed))
        for row in starmap(Row, plan.connection.execute(*statement)):
            needed -= 1
            yield row
    candidates = page_plan.candidates
    if candidates is None or needed == 0 or far.first > far.last:
        return
    if candidates.steps is not None and phase.is_all:
        candidates = candidates.first(needed, *far, order)
    elif phase.is_all and far == plan.window:
        columns += ", count(*) OVER ()"  # the statement reads all matches, so the total is free
    rest = plan.select(columns, candidates, phase.condition, window=far)
    statement = fuse("{} ORDER BY c.seq {} LIMIT {}", rest, order, bind(needed))
    yield from starmap(Row, plan.connection.execute(*statement))


def _by_key(plan: Plan, request: Search, phase: Phase, after: Position | None, needed: int) -> Sql:
    """Return SQL for the first `needed` jobs of a phase, sorted by its key and then by seq."""
    candidates, _ = plan.plan_all()
    seq = seq_of(candidates)
    order, beyond = ("ASC", ">") if request.order is SortOrder.ASC else ("DESC", "<")
    conditions = [phase.condition]
    if after is not None:
        place = f"({phase.key}, {seq}) {beyond} ({{}}, {{}})"
        conditions.append(fuse(place, bind(after.key), bind(after.seq)))
    columns = f"jobs.seq, jobs.id, {phase.key}"
    if candidates is not None and phase.is_all and after is None:
        columns += ", count(*) OVER ()"  # the statement reads all matches, so the total is free
    return fuse(
        f"{{}} ORDER BY {phase.key} {order}, {seq} {order} LIMIT {{}}",
        plan.select(columns, candidates, *conditions),
        bind(needed),
    )


def _by_completion(plan: Plan, request: Search, after: Position | None, needed: int) -> Sql:
    """Return SQL for the first `needed` jobs by completion.

    The index of finished jobs is by queue, so it takes the first `needed` jobs of each queue.
    """
    is_upward = request.order is SortOrder.ASC
    conditions = [plan.condition]
    # SQLite uses only one of two upper bounds. Downwards, the place of the cursor is the lower one.
    if is_upward or after is None:
        conditions.append(fuse("jobs.finished_at <= {}", bind(request.as_of)))
    if after is not None:
        place = f"(jobs.finished_at, jobs.seq) {'>' if is_upward else '<'} ({{}}, {{}})"
        conditions.append(fuse(place, bind(after.key), bind(after.seq)))
    return fuse(
        _FIRST_PER_QUEUE.format(order="ASC" if is_upward else "DESC"),
        all_of(conditions),
        bind(needed),
        bind(needed),
    )


# Totals


def _count(plan: Plan, seen: int, seconds: float) -> Total:
    """Count the matching jobs.

    `seen` is the number of matches found already, a lower bound if counting takes over `seconds`.
    """
    if plan.is_answered_by_counters:
        return Total(plan.state_counts.jobs(plan.wanted.all_queues, plan.wanted.states))
    candidates, steps = plan.plan_all()
    if steps <= _MIN_COUNTED:
        (jobs,) = fetch_one(plan.connection, *plan.select("count(*)", candidates))
        return Total(jobs)
    return _count_in_chunks(plan, seen, seconds)


def _count_in_chunks(plan: Plan, seen: int, seconds: float) -> Total:
    """Count matches from the newest job backwards, in chunks, until the time limit."""
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
