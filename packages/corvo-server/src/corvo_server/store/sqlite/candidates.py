"""Find the jobs that an index gives for a filter: the candidates of a search.

SQLite plans a query without knowing how many rows a condition leaves or how few a page needs. This
module knows both: the queues count their jobs by state, and the candidates of an index are counted
up to a limit. A candidate need not match: the search applies the whole filter to each one.
"""

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from corvo_schema.states import FINISHED, JobState
from corvo_server.store.rows.codes import STATE_CODES, STATES
from corvo_server.store.search.filters import ALWAYS, JobFilter, within
from corvo_server.store.search.fragments import Sql, all_of, bind, fuse, join, one_of
from corvo_server.store.sqlite.dialect import SqliteDialect
from corvo_server.store.sqlite.rows import SQL, fetch_one

DIALECT = SqliteDialect()

STEPS_PER_CANDIDATE = 13
"""Steps (see `plan`) to look up one candidate in the table of jobs."""
STEPS_PER_INDEX_ROW = 5
"""Steps to read one row of an index, with a tag lookup but without the job itself."""

# Each query gives the seqs of candidates. A partial index is used only if the query repeats its
# condition word for word; INDEXED BY fails if it does not.
_BATCH = "SELECT seq FROM jobs INDEXED BY jobs_batch WHERE batch_id = {}"
_UNIQUE_KEY = "SELECT seq FROM jobs INDEXED BY jobs_unique_key WHERE unique_key = {}"
_FAILED = "SELECT DISTINCT job_seq AS seq FROM job_failures"
_TAGGED = """
WITH RECURSIVE segments (n) AS (
    SELECT min(segment) FROM job_tags
    UNION ALL
    SELECT (SELECT min(segment) FROM job_tags WHERE segment > n) FROM segments WHERE n IS NOT NULL
)
SELECT t.job_seq AS seq
FROM segments CROSS JOIN job_tags AS t ON t.segment = n AND t.key = {} AND t.value = {}"""
_FINISHED = (
    "SELECT seq FROM jobs INDEXED BY jobs_finished"
    " WHERE finished_at IS NOT NULL AND state = {} AND {}"
)
_UNFINISHED = (
    (
        "SELECT seq FROM jobs INDEXED BY jobs_pending WHERE state = 1 AND {}",
        frozenset({JobState.PENDING}),
        True,
    ),
    (
        "SELECT seq FROM jobs INDEXED BY jobs_leased WHERE lease_expires_at IS NOT NULL AND {}",
        frozenset({JobState.ACTIVE}),
        False,
    ),
    (
        "SELECT seq FROM jobs INDEXED BY jobs_due WHERE due_at IS NOT NULL AND {}",
        frozenset({JobState.SCHEDULED, JobState.RETRYING}),
        False,
    ),
)
"""One entry per index: its query, the states it contains, whether its first column is the queue."""


class Candidates(NamedTuple):
    """A set of jobs that contains all matches of a filter."""

    seqs: Sql
    """A query for their seqs."""
    rows: int
    """Rows that the query reads, at most."""
    steps: int | None = None
    """Steps of the query; only set if the index decides everything but the time of creation."""

    def first(self, jobs: int, first: int, last: int, order: Sql) -> "Candidates":
        """Return its first `jobs` candidates with a seq from `first` to `last`."""
        seqs = fuse(
            "SELECT seq FROM ({}) WHERE seq BETWEEN {} AND {} ORDER BY seq {} LIMIT {}",
            self.seqs,
            bind(first),
            bind(last),
            order,
            bind(jobs),
        )
        return self._replace(seqs=seqs)


NO_CANDIDATES = Candidates(Sql("SELECT NULL AS seq WHERE FALSE"), 0)


class StateCounts:
    """The number of jobs by queue and state, read from the counters of the queues."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._counts: dict[str, tuple[int, ...]] = {
            name: counts for name, *counts in connection.execute(SQL.state_counts)
        }
        self.total = sum(map(sum, self._counts.values()))

    def jobs(self, queues: frozenset[str] | None, states: frozenset[JobState]) -> int:
        """Return how many jobs of `queues` (None: all) are in `states` (empty: any state)."""
        columns = [STATE_CODES[state] for state in states or STATES]
        counts_of = self._counts
        rows = (
            counts_of.values() if queues is None else [counts_of.get(queue, ()) for queue in queues]
        )
        return sum(counts[column] for counts in rows if counts for column in columns)


def fewest_candidates(
    connection: sqlite3.Connection, wanted: JobFilter, state_counts: StateCounts, limit: int
) -> Candidates | None:
    """Return the smallest set of candidates for `wanted`; None if no index helps.

    A set whose size is not known from the counters is counted; it is dropped above `limit`.
    """
    best = _candidates_by_state(wanted, state_counts)
    if best is not None and wanted.completed != ALWAYS:
        best = _count_up_to(connection, best.seqs, limit)
    for seqs in _selective_queries(connection, wanted, limit):
        found = _count_up_to(connection, seqs, limit if best is None else min(limit, best.rows))
        if found is not None and (best is None or found.rows < best.rows):
            best = found
    return best


def _count_up_to(connection: sqlite3.Connection, seqs: Sql, limit: int) -> Candidates | None:
    """Count the candidates of a query; return None if there are more than `limit`."""
    counted = fuse("SELECT count(*) FROM (SELECT 1 FROM ({}) LIMIT {})", seqs, bind(limit + 1))
    (rows,) = fetch_one(connection, *counted)
    return Candidates(seqs, rows) if rows <= limit else None


def _selective_queries(
    connection: sqlite3.Connection, wanted: JobFilter, limit: int
) -> Iterator[Sql]:
    """Yield a query for each filter whose value few jobs have in common."""
    if wanted.id_prefix is not None:
        prefix = DIALECT.starts_with("jobs.id", wanted.id_prefix)
        yield fuse("SELECT seq FROM jobs WHERE {}", prefix)
    if wanted.unique_key is not None:
        yield fuse(_UNIQUE_KEY, bind(wanted.unique_key))
    if wanted.batch_id is not None:
        yield fuse(_BATCH, bind(wanted.batch_id))
    for key, value in wanted.tags.items():
        yield fuse(_TAGGED, bind(key), bind(value))
    if wanted.error_contains is not None:
        # No index finds a text within errors, so all of them are read, if they are few enough.
        if _count_up_to(connection, Sql(_FAILED), limit):
            yield fuse(f"{_FAILED} WHERE {{}}", DIALECT.contains("error", wanted.error_contains))
    elif wanted.has_errors:
        yield Sql(_FAILED)


def _candidates_by_state(wanted: JobFilter, state_counts: StateCounts) -> Candidates | None:
    """Return the jobs of the wanted queues and states; None if the filter names neither.

    Each index contains jobs of certain states only, so the query is a union over the indexes.
    """
    states, queues = wanted.states or frozenset(STATES), wanted.all_queues
    if wanted.completed != ALWAYS:
        states &= {JobState.COMPLETED}
    elif queues is None and not wanted.states:
        return None
    # The tag lookup needs only the seq, so it runs here, before the jobs themselves are read.
    more = [DIALECT.has_tag(key, value) for key, value in wanted.tags.items()]
    if wanted.queue is not None:
        more.insert(0, fuse("queue = {}", bind(wanted.queue)))
    elif queues is not None:
        more.insert(0, DIALECT.is_among("queue", sorted(queues)))
    elif wanted.completed != ALWAYS:
        # The queue precedes the time in the index, so the range of times is read for each queue.
        more.insert(0, Sql("queue IN (SELECT name FROM queues)"))
    parts: list[Sql] = []
    rows = 0
    plain = JobFilter(
        queue=wanted.queue,
        queues=wanted.queues,
        states=wanted.states,
        tags=wanted.tags,
        created=wanted.created,
    )
    steps = 0
    for template, index_states, is_by_queue in _UNFINISHED:
        some = states & index_states
        if some:
            only = [] if some == index_states else [one_of("state", map(STATE_CODES.get, some))]
            parts.append(fuse(template, all_of([*only, *more])))
            part = state_counts.jobs(queues if is_by_queue else None, index_states)
            rows += part
            steps += part * (STEPS_PER_INDEX_ROW if is_by_queue else STEPS_PER_CANDIDATE)
    for state in states & FINISHED:
        conditions = all_of([*more, *within("finished_at", wanted.completed)])
        parts.append(fuse(_FINISHED, bind(STATE_CODES[state]), conditions))
        part = state_counts.jobs(queues, frozenset({state}))
        rows += part
        steps += part * STEPS_PER_INDEX_ROW
    if not parts:
        return NO_CANDIDATES
    return Candidates(join(" UNION ALL ", parts), rows, steps if wanted == plain else None)
