"""Where a search looks: the few jobs that an index names, or all of them in their order.

SQLite plans without knowing how many rows a condition leaves or how few a page prefetch. Here both are
known: queues count their jobs by state, indexes are asked how much they hold up to a limit. Every
candidates yields candidates only; the whole filter is applied to each.
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

STEPS_A_CANDIDATE = 13
STEPS_IN_AN_INDEX = 5
"""Of a row of which no job is looked at: nothing but an index, and at most one of tags besides."""

# The candidates, each `SELECT seq FROM …`. What stands behind INDEXED BY must be what its index says.
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
_ENDED = (
    "SELECT seq FROM jobs INDEXED BY jobs_finished"
    " WHERE finished_at IS NOT NULL AND state = {} AND {}"
)
_WAITING = (
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
"""With the states that each has, and whether it begins with the queue."""


class Candidates(NamedTuple):
    """SQL for the seqs of candidates, and how many rows finding them reads."""

    seqs: Sql
    rows: int
    steps: int | None = None
    """What going through them takes where all of them match, within the span of creation."""

    def first(self, jobs: int, first: int, last: int, order: Sql) -> "Candidates":
        """Its first `jobs` candidates from `first` to `last`, by seq."""
        seqs = fuse(
            "SELECT seq FROM ({}) WHERE seq BETWEEN {} AND {} ORDER BY seq {} LIMIT {}",
            self.seqs,
            bind(first),
            bind(last),
            order,
            bind(jobs),
        )
        return self._replace(seqs=seqs)


NOTHING = Candidates(Sql("SELECT NULL AS seq WHERE FALSE"), 0)


class StateCounts:
    """How many jobs there are, by queue and state, as the queues' counters say."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._counts: dict[str, tuple[int, ...]] = {
            name: counts for name, *counts in connection.execute(SQL.state_counts)
        }
        self.total = sum(map(sum, self._counts.values()))

    def jobs(self, queue: str | None, states: frozenset[JobState]) -> int:
        """The jobs of a queue (None: of all) in any of `states` (none: in any)."""
        places = [STATE_CODES[state] for state in states or STATES]
        rows = self._counts.values() if queue is None else [self._counts.get(queue, ())]
        return sum(counts[place] for counts in rows if counts for place in places)


def narrowest(
    connection: sqlite3.Connection, wanted: JobFilter, state_counts: StateCounts, most: int
) -> Candidates | None:
    """The candidates that names the fewest candidates, if any does.

    Of those that must be asked, one that names more than `most` does not count.
    """
    best = _by_state(wanted, state_counts)
    if best is not None and wanted.completed != ALWAYS:
        best = _measured(connection, best.seqs, most)
    for seqs in _by_value(connection, wanted, most):
        found = _measured(connection, seqs, most if best is None else min(most, best.rows))
        if found is not None and (best is None or found.rows < best.rows):
            best = found
    return best


def _measured(connection: sqlite3.Connection, seqs: Sql, most: int) -> Candidates | None:
    """A candidates with its rows counted; None when there are more than `most`."""
    counted = fuse("SELECT count(*) FROM (SELECT 1 FROM ({}) LIMIT {})", seqs, bind(most + 1))
    (rows,) = fetch_one(connection, *counted)
    return Candidates(seqs, rows) if rows <= most else None


def _by_value(connection: sqlite3.Connection, wanted: JobFilter, most: int) -> Iterator[Sql]:
    """Sources for values that few jobs have."""
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
        if _measured(connection, Sql(_FAILED), most):  # few enough to read all their errors
            yield fuse(f"{_FAILED} WHERE {{}}", DIALECT.contains("error", wanted.error_contains))
    elif wanted.has_errors:
        yield Sql(_FAILED)


def _by_state(wanted: JobFilter, state_counts: StateCounts) -> Candidates | None:
    """The jobs of a queue, or of some states, from the indexes that each keep a few states."""
    states = wanted.states or frozenset(STATES)
    if wanted.completed != ALWAYS:
        states &= {JobState.COMPLETED}
    elif wanted.queue is None and not wanted.states:
        return None
    # Tags are looked for before the jobs are: that needs no more than a seq.
    more = [DIALECT.has_tag(key, value) for key, value in wanted.tags.items()]
    if wanted.queue is not None:
        more.insert(0, fuse("queue = {}", bind(wanted.queue)))
    elif wanted.completed != ALWAYS:
        more.insert(0, Sql("queue IN (SELECT name FROM queues)"))  # a range of time for each
    parts: list[Sql] = []
    rows = 0
    plain = JobFilter(
        queue=wanted.queue, states=wanted.states, tags=wanted.tags, created=wanted.created
    )
    steps = 0
    for template, all_states, is_by_queue in _WAITING:
        some = states & all_states
        if some:
            only = [] if some == all_states else [one_of("state", map(STATE_CODES.get, some))]
            parts.append(fuse(template, all_of([*only, *more])))
            part = state_counts.jobs(wanted.queue if is_by_queue else None, all_states)
            rows += part
            steps += part * (STEPS_IN_AN_INDEX if is_by_queue else STEPS_A_CANDIDATE)
    for state in states & FINISHED:
        ended = all_of([*more, *within("finished_at", wanted.completed)])
        parts.append(fuse(_ENDED, bind(STATE_CODES[state]), ended))
        part = state_counts.jobs(wanted.queue, frozenset({state}))
        rows += part
        steps += part * STEPS_IN_AN_INDEX
    if not parts:
        return NOTHING
    return Candidates(join(" UNION ALL ", parts), rows, steps if wanted == plain else None)
