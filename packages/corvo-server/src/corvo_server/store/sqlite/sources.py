"""Where a search looks: the few jobs that an index names, or all of them in their order.

SQLite plans without knowing how many rows a condition leaves or how few a page needs. Here both are
known: queues count their jobs by state, indexes are asked how much they hold up to a limit. Every
source yields candidates only; the whole filter is applied to each.
"""

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from corvo_schema.states import JobState
from corvo_server.store.codes import STATE_CODES, STATES
from corvo_server.store.filters import ALWAYS, JobFilter, within
from corvo_server.store.fragments import Sql, all_of, bind, fuse, join
from corvo_server.store.sqlite.dialect import SqliteDialect
from corvo_server.store.sqlite.rows import SQL, fetch_one

DIALECT = SqliteDialect()

_DUE = frozenset({JobState.SCHEDULED, JobState.RETRYING})

# The sources, each `SELECT seq FROM …`. What stands behind INDEXED BY must be what its index says.
_BATCH = "SELECT seq FROM jobs INDEXED BY jobs_batch WHERE batch_id = {}"
_UNIQUE_KEY = "SELECT seq FROM jobs INDEXED BY jobs_unique_key WHERE unique_key = {}"
_PENDING = "SELECT seq FROM jobs INDEXED BY jobs_pending WHERE state = 1 AND {}"
_ACTIVE = "SELECT seq FROM jobs INDEXED BY jobs_leased WHERE state = 2 AND {}"
_DUE_JOBS = "SELECT seq FROM jobs INDEXED BY jobs_due WHERE state IN (0, 3) AND {}"
_FINISHED = (
    "SELECT seq FROM jobs INDEXED BY jobs_finished"
    " WHERE finished_at IS NOT NULL AND state = {} AND {}"
)
_FAILED = "SELECT DISTINCT job_seq AS seq FROM job_failures"
_TAGGED = """
WITH RECURSIVE segments (n) AS (
    SELECT min(segment) FROM job_tags
    UNION ALL
    SELECT (SELECT min(segment) FROM job_tags WHERE segment > n) FROM segments WHERE n IS NOT NULL
)
SELECT t.job_seq AS seq
FROM segments CROSS JOIN job_tags AS t ON t.segment = n AND t.key = {} AND t.value = {}"""


class Source(NamedTuple):
    """SQL for the seqs of candidates, and how many rows finding them reads."""

    seqs: Sql
    rows: int


class Census:
    """How many jobs there are, by queue and state, as the queues' counters say."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._counts: dict[str, tuple[int, ...]] = {
            name: counts for name, *counts in connection.execute(SQL.census)
        }
        self.total = sum(map(sum, self._counts.values()))

    def jobs(self, queue: str | None, states: frozenset[JobState]) -> int:
        """The jobs of a queue (None: of all) in any of `states` (none: in any)."""
        places = [STATE_CODES[state] for state in states or STATES]
        rows = self._counts.values() if queue is None else [self._counts.get(queue, ())]
        return sum(counts[place] for counts in rows if counts for place in places)


def narrowest(
    connection: sqlite3.Connection, wanted: JobFilter, census: Census, most: int
) -> Source | None:
    """The source that names the fewest candidates, if any does.

    Of those that must be asked, one that names more than `most` does not count.
    """
    best = _by_state(wanted, census)
    if best is not None and wanted.completed != ALWAYS:
        best = _measured(connection, best.seqs, most)
    for seqs in _by_value(wanted):
        found = _measured(connection, seqs, most if best is None else min(most, best.rows))
        if found is not None and (best is None or found.rows < best.rows):
            best = found
    return best


def _measured(connection: sqlite3.Connection, seqs: Sql, most: int) -> Source | None:
    """A source with its rows counted; None when there are more than `most`."""
    counted = fuse("SELECT count(*) FROM (SELECT 1 FROM ({}) LIMIT {})", seqs, bind(most + 1))
    (rows,) = fetch_one(connection, *counted)
    return Source(seqs, rows) if rows <= most else None


def _by_value(wanted: JobFilter) -> Iterator[Sql]:
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
    if wanted.has_errors or wanted.error_contains is not None:
        yield Sql(_FAILED)


def _by_state(wanted: JobFilter, census: Census) -> Source | None:
    """The jobs of a queue, or of some states, from the indexes that each keep a few states."""
    states = wanted.states
    if wanted.completed != ALWAYS:
        states = frozenset({JobState.COMPLETED}) & (states or frozenset(STATES))
        if not states:
            return Source(Sql("SELECT NULL AS seq WHERE FALSE"), 0)
    elif wanted.queue is None and not states:
        return None
    states = states or frozenset(STATES)
    queue = Sql("TRUE") if wanted.queue is None else fuse("queue = {}", bind(wanted.queue))
    parts: list[Sql] = []
    rows = 0
    for state in sorted(states, key=STATE_CODES.__getitem__):
        code = STATE_CODES[state]
        match state:
            case JobState.PENDING:
                parts.append(fuse(_PENDING, queue))
                rows += census.jobs(wanted.queue, frozenset({state}))
            case JobState.ACTIVE:
                parts.append(fuse(_ACTIVE, queue))
                rows += census.jobs(None, frozenset({state}))
            case JobState.SCHEDULED | JobState.RETRYING:
                if not states >= _DUE or state is JobState.SCHEDULED:
                    only = Sql("TRUE") if states >= _DUE else fuse("state = {}", bind(code))
                    parts.append(fuse(_DUE_JOBS, all_of([only, queue])))
                    rows += census.jobs(None, _DUE)
            case _:
                parts.append(fuse(_FINISHED, bind(code), _finished(wanted)))
                rows += census.jobs(wanted.queue, frozenset({state}))
    return Source(join(" UNION ALL ", parts), rows)


def _finished(wanted: JobFilter) -> Sql:
    """The range of jobs_finished behind its state: a queue, then a time."""
    if wanted.queue is not None:
        queue = fuse("queue = {}", bind(wanted.queue))
    elif wanted.completed != ALWAYS:
        queue = Sql("queue IN (SELECT name FROM queues)")  # one range of time for each
    else:
        return Sql("TRUE")
    return all_of([queue, *within("finished_at", wanted.completed)])
