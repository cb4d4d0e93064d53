"""Search for jobs: one page in an order, and the total number of matches.

A page begins after the last job of the page before (keyset pagination); there are no offsets.
PostgreSQL chooses the index from its statistics; a statement that takes too long is cancelled.
"""

from functools import partial
from time import perf_counter

from corvo_schema import SortOrder
from corvo_schema.states import FINISHED
from corvo_server.store.postgres.dialect import PostgresDialect
from corvo_server.store.postgres.jobs import find_jobs, sizes
from corvo_server.store.postgres.pipeline import Pipeline
from corvo_server.store.postgres.rows import SQL, Row, as_json
from corvo_server.store.rows.codes import STATE_CODES, STATES
from corvo_server.store.search.filters import JobFilter, where
from corvo_server.store.search.fragments import Sql, all_of, bind, fuse
from corvo_server.store.search.order import Phase, phases_of
from corvo_server.store.search.page import Row as PageRow
from corvo_server.store.search.page import to_page
from corvo_server.store.search.search import Found, Position, Search, Total

_DIALECT = PostgresDialect()
_MIN_COUNTED = 200_000
"""Jobs that counting reads at least, whatever the time limit."""
_COUNT_STEP = 20_000
"""Jobs that one counting statement reads; the time limit is checked after each statement."""
_MAX_INDEX_COUNT = 100_000
"""Matches up to which the total is exact if an index finds them."""

_TEXT_KEY = "jobs.queue"
_FINISHED_KEY = "jobs.finished_at"
_FIRST_PER_QUEUE = """
SELECT found.* FROM (SELECT DISTINCT queue FROM queue_counts) AS q
CROSS JOIN LATERAL ({{}}) AS found ORDER BY 3 {order}, 1 {order} LIMIT {{}}"""


def search(pipeline: Pipeline, request: Search) -> Found:
    """Return one page of matching jobs, and their total number (exact or a lower bound)."""
    started = perf_counter()
    condition = _condition(request.wanted)
    rows = _page(pipeline, request, condition)

    def count() -> Total:
        # A page that took long to find allows as much time again for the total.
        seconds = max(request.count_seconds, perf_counter() - started)
        return _count(pipeline, request.wanted, condition, len(rows), seconds)

    return to_page(request, rows, partial(find_jobs, pipeline), partial(sizes, pipeline), count)


def matching_ids(
    pipeline: Pipeline, wanted: JobFilter, after_seq: int, limit: int
) -> list[tuple[int, str]]:
    """Return (seq, id) of the first `limit` matching jobs with a seq above `after_seq`."""
    after = Position(None, after_seq)
    request = Search(wanted, as_of=0, limit=limit, order=SortOrder.ASC, after=after)
    rows = _page(pipeline, request, _condition(wanted))
    return [(row.seq, row.id) for row in rows[:limit]]


def _condition(wanted: JobFilter) -> Sql:
    condition = where(wanted, _DIALECT)
    if wanted.states and wanted.states <= FINISHED:  # all of which are in the index of ended jobs
        return all_of([condition, Sql("jobs.finished_at IS NOT NULL")])
    return condition


def _run(pipeline: Pipeline, statement: Sql) -> list[Row]:
    text = statement.text.replace("%", "%%").replace("?", "%s")
    return pipeline.ask(text, statement.values)


# Pages


def _page(pipeline: Pipeline, request: Search, condition: Sql) -> list[PageRow]:
    """Return the rows of the page, and one more if there is a further page."""
    phases = phases_of(request)
    after = request.after
    if after is not None and after.key is None:
        phases = phases[-1:]
    rows: list[PageRow] = []
    for phase in phases:
        needed = request.limit + 1 - len(rows)
        if needed > 0:
            statement = _page_statement(request, phase, condition, after, needed)
            rows += [PageRow(*row) for row in _run(pipeline, statement)]
        after = None
    return rows


def _page_statement(
    request: Search, phase: Phase, condition: Sql, after: Position | None, needed: int
) -> Sql:
    order, beyond = ("ASC", ">") if request.order is SortOrder.ASC else ("DESC", "<")
    conditions = [condition, phase.condition]
    if after is not None and phase.key is None:
        conditions.append(fuse(f"jobs.seq {beyond} {{}}", bind(after.seq)))
    elif after is not None and isinstance(after.key, str) is not (phase.key == _TEXT_KEY):
        # A forged cursor: its value has the wrong type for the column, which would be an error.
        return Sql("SELECT 0, '', NULL WHERE FALSE")
    elif after is not None:
        place = f"({phase.key}, jobs.seq) {beyond} ({{}}, {{}})"
        conditions.append(fuse(place, bind(after.key), bind(after.seq)))
    # The index of finished jobs is by queue. The first jobs of all queues are among the first jobs
    # of each queue, so the statement reads only those.
    is_by_queue = phase.key == _FINISHED_KEY and _sorts_finished_jobs(request.wanted)
    if is_by_queue:
        conditions.append(Sql("jobs.queue = q.queue"))
    by_key = f"{phase.key} {order}, " if phase.key else ""
    rows = fuse(
        f"SELECT jobs.seq, jobs.id, {phase.key or 'NULL'} FROM jobs WHERE {{}}"  # noqa: S608 - words of this package
        f" ORDER BY {by_key}jobs.seq {order} LIMIT {{}}",
        all_of(conditions),
        bind(needed),
    )
    if is_by_queue:
        return fuse(_FIRST_PER_QUEUE.format(order=order), rows, bind(needed))
    return rows


def _sorts_finished_jobs(wanted: JobFilter) -> bool:
    """Return whether the filter is only about the state and time of finished jobs."""
    return wanted == JobFilter(states=wanted.states, completed=wanted.completed)


# Totals


def _count(
    pipeline: Pipeline, wanted: JobFilter, condition: Sql, seen: int, seconds: float
) -> Total:
    """Count the matching jobs.

    `seen` is the number of matches found already, a lower bound if counting takes over `seconds`.
    """
    if wanted.is_of_queues:
        return Total(_sum_counters(pipeline, wanted))
    if any((wanted.unique_key, wanted.batch_id, wanted.id_prefix, wanted.tags)):
        statement = fuse(
            "SELECT count(*) FROM (SELECT 1 FROM jobs WHERE {} LIMIT {}) AS found",
            condition,
            bind(_MAX_INDEX_COUNT + 1),
        )
        ((jobs,),) = _run(pipeline, statement)
        return Total(min(jobs, _MAX_INDEX_COUNT), is_exact=jobs <= _MAX_INDEX_COUNT)
    return _count_in_chunks(pipeline, condition, seen, seconds)


def _sum_counters(pipeline: Pipeline, wanted: JobFilter) -> int:
    """Return the number of jobs of the wanted queues and states, from the counters of queues."""
    columns = [STATE_CODES[state] for state in wanted.states or STATES]
    queues = wanted.all_queues
    names = None if queues is None else as_json([*queues])
    rows = pipeline.ask(SQL.state_counts, {"names": names})
    return int(sum(counts[column] for counts in rows for column in columns))


def _count_in_chunks(pipeline: Pipeline, condition: Sql, seen: int, seconds: float) -> Total:
    """Count matches from the newest job backwards, in chunks, until the time limit."""
    deadline = perf_counter() + seconds
    jobs = scanned = 0
    ((last,),) = pipeline.ask(SQL.last_seq)
    while last > 0:
        ((low,),) = pipeline.ask(SQL.seq_before, (last, _COUNT_STEP))
        within = fuse("jobs.seq BETWEEN {} AND {}", bind(low), bind(last))
        step = fuse("SELECT count(*) FROM jobs WHERE {}", all_of([within, condition]))
        ((matches,),) = _run(pipeline, step)
        jobs += matches
        scanned += _COUNT_STEP
        last = low - 1
        if scanned >= _MIN_COUNTED and last > 0 and perf_counter() >= deadline:
            return Total(max(jobs, seen), is_exact=False)
    return Total(jobs)
