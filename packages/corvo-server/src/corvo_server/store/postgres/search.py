"""Searching jobs: one page in an order, and how many match in all.

Pages are cut by the last job of the page before (a keyset), never by an offset. Which index serves
is PostgreSQL's choice, from its statistics; what takes too long is stopped by its timeout.
"""

from functools import partial
from time import perf_counter

from corvo_schema import SortOrder
from corvo_schema.states import FINISHED
from corvo_server.store.postgres.dialect import PostgresDialect
from corvo_server.store.postgres.jobs import find_jobs
from corvo_server.store.postgres.pipeline import Pipeline
from corvo_server.store.postgres.rows import SQL, Row
from corvo_server.store.rows.codes import STATE_CODES, STATES
from corvo_server.store.search.filters import JobFilter, where
from corvo_server.store.search.fragments import Sql, all_of, bind, fuse
from corvo_server.store.search.order import Phase, phases_of
from corvo_server.store.search.page import Row as PageRow
from corvo_server.store.search.page import to_page
from corvo_server.store.search.search import Found, Position, Search, Total

_DIALECT = PostgresDialect()
_COUNTED_ALWAYS = 200_000
"""Jobs that counting may look at in any case."""
_COUNT_STEP = 20_000
"""Jobs looked at in one statement, until the time is up."""
_COUNTED_BY_INDEX = 100_000
"""Matches that are counted where an index tells them."""

_TEXT_KEY = "jobs.queue"
_ENDED_KEY = "jobs.finished_at"
_OF_EACH_QUEUE = """
SELECT found.* FROM (SELECT DISTINCT queue FROM queue_counts) AS q
CROSS JOIN LATERAL ({{}}) AS found ORDER BY 3 {order}, 1 {order} LIMIT {{}}"""


def search(pipeline: Pipeline, request: Search) -> Found:
    """One page of the jobs that match, with the number of all of them."""
    started = perf_counter()
    condition = _condition(request.wanted)
    rows = _page(pipeline, request, condition)

    def count() -> Total:
        # The caller waited for the page, and may wait as long again for the total.
        seconds = max(request.count_seconds, perf_counter() - started)
        return _count(pipeline, request.wanted, condition, len(rows), seconds)

    return to_page(request, rows, partial(find_jobs, pipeline), count)


def matching_ids(
    pipeline: Pipeline, wanted: JobFilter, after_seq: int, limit: int
) -> list[tuple[int, str]]:
    """The (seq, id) of the first `limit` matching jobs beyond `after_seq`, oldest first."""
    after = Position(None, after_seq)
    request = Search(wanted, as_of=0, limit=limit, order=SortOrder.ASC, after=after)
    rows = _page(pipeline, request, _condition(wanted))
    return [(row.seq, row.id) for row in rows[:limit]]


def _condition(wanted: JobFilter) -> Sql:
    condition = where(wanted, _DIALECT)
    if wanted.states and wanted.states <= FINISHED:  # all of which are in the index of ended jobs
        return all_of([condition, Sql("jobs.finished_at IS NOT NULL")])
    return condition


def _ask(pipeline: Pipeline, statement: Sql) -> list[Row]:
    text = statement.text.replace("%", "%%").replace("?", "%s")
    return pipeline.ask(text, statement.values)


# Pages


def _page(pipeline: Pipeline, request: Search, condition: Sql) -> list[PageRow]:
    """The rows of the page, and one more if more match."""
    phases = phases_of(request)
    after = request.after
    if after is not None and after.key is None:
        phases = phases[-1:]
    rows: list[PageRow] = []
    for phase in phases:
        needed = request.limit + 1 - len(rows)
        if needed > 0:
            statement = _part(request, phase, condition, after, needed)
            rows += [PageRow(*row) for row in _ask(pipeline, statement)]
        after = None
    return rows


def _part(
    request: Search, phase: Phase, condition: Sql, after: Position | None, needed: int
) -> Sql:
    order, beyond = ("ASC", ">") if request.order is SortOrder.ASC else ("DESC", "<")
    conditions = [condition, phase.condition]
    if after is not None and phase.key is None:
        conditions.append(fuse(f"jobs.seq {beyond} {{}}", bind(after.seq)))
    elif after is not None and isinstance(after.key, str) is not (phase.key == _TEXT_KEY):
        return Sql("SELECT 0, '', NULL WHERE FALSE")  # a forged place, which is nowhere
    elif after is not None:
        place = f"({phase.key}, jobs.seq) {beyond} ({{}}, {{}})"
        conditions.append(fuse(place, bind(after.key), bind(after.seq)))
    # The index of ended jobs is by queue: what is first in all queues is among the first of each.
    is_by_queue = phase.key == _ENDED_KEY and _is_all_that_ended(request.wanted)
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
        return fuse(_OF_EACH_QUEUE.format(order=order), rows, bind(needed))
    return rows


def _is_all_that_ended(wanted: JobFilter) -> bool:
    """Whether nothing but their end tells jobs apart."""
    return wanted == JobFilter(states=wanted.states, completed=wanted.completed)


# Totals


def _count(
    pipeline: Pipeline, wanted: JobFilter, condition: Sql, seen: int, seconds: float
) -> Total:
    """How many jobs match; `seen` is how many are known to."""
    if wanted == JobFilter(queue=wanted.queue, states=wanted.states):
        return Total(_counted(pipeline, wanted))
    if any((wanted.unique_key, wanted.batch_id, wanted.id_prefix, wanted.tags)):
        statement = fuse(
            "SELECT count(*) FROM (SELECT 1 FROM jobs WHERE {} LIMIT {}) AS found",
            condition,
            bind(_COUNTED_BY_INDEX + 1),
        )
        ((jobs,),) = _ask(pipeline, statement)
        return Total(min(jobs, _COUNTED_BY_INDEX), is_exact=jobs <= _COUNTED_BY_INDEX)
    return _count_walking(pipeline, condition, seen, seconds)


def _counted(pipeline: Pipeline, wanted: JobFilter) -> int:
    """What the counters of queues tell."""
    places = [STATE_CODES[state] for state in wanted.states or STATES]
    rows = pipeline.ask(SQL.state_counts, {"name": wanted.queue})
    return int(sum(counts[place] for counts in rows for place in places))


def _count_walking(pipeline: Pipeline, condition: Sql, seen: int, seconds: float) -> Total:
    """Count from the newest job backwards, until all are looked at or the time is up."""
    deadline = perf_counter() + seconds
    jobs = walked = 0
    ((last,),) = pipeline.ask(SQL.last_seq)
    while last > 0:
        ((low,),) = pipeline.ask(SQL.seq_before, (last, _COUNT_STEP))
        within = fuse("jobs.seq BETWEEN {} AND {}", bind(low), bind(last))
        step = fuse("SELECT count(*) FROM jobs WHERE {}", all_of([within, condition]))
        ((matches,),) = _ask(pipeline, step)
        jobs += matches
        walked += _COUNT_STEP
        last = low - 1
        if walked >= _COUNTED_ALWAYS and last > 0 and perf_counter() >= deadline:
            return Total(max(jobs, seen), is_exact=False)
    return Total(jobs)
