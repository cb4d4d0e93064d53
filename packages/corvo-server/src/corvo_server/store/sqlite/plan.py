"""Choose between a table scan and an index for one search, by estimated cost.

The unit of cost is a step: reading one job in a scan of the table, about 0.2 µs. Looking up a
candidate costs several steps. A scan is cheaper when matches are common, because the page fills
after few jobs.
"""

import sqlite3
from functools import cached_property
from typing import NamedTuple

from corvo_server.store.search.filters import JobFilter, where
from corvo_server.store.search.fragments import Sql, all_of, bind, fuse
from corvo_server.store.sqlite.candidates import (
    DIALECT,
    STEPS_PER_CANDIDATE,
    STEPS_PER_INDEX_ROW,
    Candidates,
    StateCounts,
    fewest_candidates,
)
from corvo_server.store.sqlite.rows import SQL, fetch_one

_PROBE_DIVISOR = 40
"""The candidates of an index are counted up to the number of jobs divided by this."""
_MIN_PROBE = 5_000
"""Candidates that are counted at least, however few jobs are stored."""
_ASSUMED_SHARE = 0.02
"""Assumed share of jobs that match filters without statistics.

A low value is safe: it makes a search prefer the index over a long scan.
"""
_SCAN_FACTOR = 4
"""Limit of a scan, as a multiple of the jobs it would read if matches were spread evenly."""
_MIN_SCAN = 1_000
"""Jobs that a scan reads at least before the search turns to the index."""


class Window(NamedTuple):
    """An inclusive range of seqs."""

    first: int
    last: int

    def after(self, seq: int, *, is_upward: bool) -> "Window":
        """Return the part above `seq` if `is_upward`, else the part below it."""
        if is_upward:
            return Window(max(self.first, seq + 1), self.last)
        return Window(self.first, min(self.last, seq - 1))

    def split(self, jobs: int, *, is_upward: bool) -> "tuple[Window, Window]":
        """Split off the `jobs` seqs at which a scan begins; return them and the rest.

        The scan begins at the lower end if `is_upward`, else at the upper end.
        """
        if is_upward:
            edge = min(self.first + jobs, self.last + 1)
            return Window(self.first, edge - 1), Window(edge, self.last)
        edge = max(self.last - jobs, self.first - 1)
        return Window(edge + 1, self.last), Window(self.first, edge)


class PagePlan(NamedTuple):
    """The plan for one page: scan `scan` seqs first, then look up the candidates."""

    scan: int
    candidates: Candidates | None = None
    """None if the scan covers the whole window."""


class Plan:
    """Plans the searches with one filter, in one snapshot of the database."""

    def __init__(self, connection: sqlite3.Connection, wanted: JobFilter) -> None:
        self.connection = connection
        self.wanted = wanted
        self.condition = where(wanted, DIALECT)
        self.state_counts = StateCounts(connection)
        self.window = _window(connection, wanted)

    @property
    def is_answered_by_counters(self) -> bool:
        """Whether the filter has only queues and states, so that counters give the total."""
        return self.wanted.is_of_queues

    @property
    def is_answered_by_finished_index(self) -> bool:
        """Whether the index `jobs_finished` alone decides which completed jobs match."""
        wanted = self.wanted
        return wanted == JobFilter(
            queue=wanted.queue,
            queues=wanted.queues,
            states=wanted.states,
            completed=wanted.completed,
        )

    @property
    def scan_steps(self) -> int:
        """Steps of a scan over all jobs that were created in the wanted span."""
        return min(self.window.last - self.window.first + 1, self.state_counts.total)

    @cached_property
    def candidates(self) -> Candidates | None:
        """The smallest set of candidates that an index gives; None if no index helps."""
        limit = max(_MIN_PROBE, self.state_counts.total // _PROBE_DIVISOR)
        return fewest_candidates(self.connection, self.wanted, self.state_counts, limit)

    def plan_all(self) -> tuple[Candidates | None, int]:
        """Return the cheapest way to visit all matches, and its steps.

        The way is a set of candidates, or None for a scan.
        """
        if self.candidates is None or self.candidates.rows * STEPS_PER_CANDIDATE > self.scan_steps:
            return None, self.scan_steps
        return self.candidates, self.candidates.rows * STEPS_PER_CANDIDATE

    def plan_page(self, jobs: int, matches: int | None) -> PagePlan:
        """Plan how to find the first `jobs` matches, of `matches` in all (None: unknown).

        A scan stops at the last match of the page. Matches may be far from where the scan begins,
        so its length is limited; the index gives the rest of the page.
        """
        candidates, steps = self.plan_all()
        if candidates is None and self.candidates is not None:
            index_steps = self.candidates.steps
            # A scan that looks at tags costs more than one step per job: it reads whole jobs and
            # their tags. So an index that decides everything wins up to several steps per job.
            if index_steps is not None and index_steps <= self.scan_steps * STEPS_PER_INDEX_ROW:
                candidates, steps = self.candidates, index_steps
        if candidates is None:
            return PagePlan(self.window.last)
        if matches is None:
            matches = self.state_counts.jobs(self.wanted.all_queues, self.wanted.states)
            if not self.is_answered_by_counters:
                matches = min(int(matches * _ASSUMED_SHARE), candidates.rows)
        if steps * matches <= jobs * self.state_counts.total:
            return PagePlan(0, candidates)
        far = _SCAN_FACTOR * jobs * self.state_counts.total // matches
        return PagePlan(min(max(far, _MIN_SCAN), steps), candidates)

    def select(
        self,
        columns: str,
        candidates: Candidates | None,
        *conditions: Sql,
        window: Window | None = None,
    ) -> Sql:
        """Return SQL for `columns` of the jobs that match the filter and `conditions`.

        It reads only `candidates`, or scans the table if that is None. `window` replaces the window
        of the filter. It is not a further condition, because SQLite uses one of two ranges only.
        """
        first, last = window or self.window
        within = fuse("{} BETWEEN {} AND {}", Sql(seq_of(candidates)), bind(first), bind(last))
        origin = (
            Sql("jobs NOT INDEXED")
            if candidates is None
            else fuse("({}) AS c CROSS JOIN jobs ON jobs.seq = c.seq", candidates.seqs)
        )
        return fuse(
            f"SELECT {columns} FROM {{}} WHERE {{}}",  # noqa: S608 - words of this package
            origin,
            all_of([within, self.condition, *conditions]),
        )


def seq_of(candidates: Candidates | None) -> str:
    """Return the column by which a statement of `Plan.select` can be ordered without sorting."""
    return "jobs.seq" if candidates is None else "c.seq"


def _window(connection: sqlite3.Connection, wanted: JobFilter) -> Window:
    """Return the range of seqs of the jobs that were created in the wanted span.

    `created_at` never decreases with seq, so a binary search finds the ends of the range.
    """
    first, last = fetch_one(connection, SQL.seq_range)
    if wanted.created.after is not None:
        first = _seq_since(connection, wanted.created.after + 1, first, last)
    if wanted.created.before is not None:
        last = _seq_since(connection, wanted.created.before, first, last) - 1
    return Window(first, last)


def _seq_since(connection: sqlite3.Connection, moment: int, first: int, last: int) -> int:
    """Return the lowest seq, at least `first`, above all jobs created before `moment` (ms).

    Returns `last` + 1 if all jobs were created before it.
    """
    low, high = first, last + 1
    while low < high:
        middle = (low + high) // 2
        seq, created_at = fetch_one(connection, SQL.job_from_seq, (middle,))
        if created_at < moment:
            low = seq + 1
        else:
            high = middle
    return low
