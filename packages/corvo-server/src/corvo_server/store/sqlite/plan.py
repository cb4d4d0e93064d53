"""What one search has to look at, and by which way that costs least.

Costs are counted in steps: one job walked over in the order of the table, about 0.2 µs. To look a
candidate up costs some more, so walking wins where matches are common and a page fills soon.
"""

import sqlite3
from functools import cached_property
from typing import NamedTuple

from corvo_server.store.search.filters import JobFilter, where
from corvo_server.store.search.fragments import Sql, all_of, bind, fuse
from corvo_server.store.sqlite.candidates import (
    DIALECT,
    STEPS_A_CANDIDATE,
    STEPS_IN_AN_INDEX,
    Candidates,
    StateCounts,
    narrowest,
)
from corvo_server.store.sqlite.rows import SQL, fetch_one

_PROBED_SHARE = 40
"""An index is asked for how much it holds up to one in so many of the jobs."""
_SMALLEST_PROBE = 5_000
_GUESSED_SHARE = 0.02
"""Of jobs that match filters about which nothing is known. Too few errs on the safe side."""
_PATIENCE = 4
"""How many times as far a walk goes as it had to if matches lay evenly among all jobs."""
_SHORTEST_WALK = 1_000


class Window(NamedTuple):
    """A range of seqs, with both ends."""

    first: int
    last: int

    def beyond(self, seq: int, *, is_upward: bool) -> "Window":
        """What of it lies above `seq`, or below."""
        if is_upward:
            return Window(max(self.first, seq + 1), self.last)
        return Window(self.first, min(self.last, seq - 1))

    def cut(self, jobs: int, *, is_upward: bool) -> "tuple[Window, Window]":
        """The end of it that a walk begins at, of so many jobs at most, and the rest."""
        if is_upward:
            edge = min(self.first + jobs, self.last + 1)
            return Window(self.first, edge - 1), Window(edge, self.last)
        edge = max(self.last - jobs, self.first - 1)
        return Window(edge + 1, self.last), Window(self.first, edge)


class Route(NamedTuple):
    """How to come to the first matches: a walk over so many jobs, and then a candidates."""

    walk: int
    candidates: Candidates | None = None


class Plan:
    """The jobs that one filter is applied to, in one snapshot of the database."""

    def __init__(self, connection: sqlite3.Connection, wanted: JobFilter) -> None:
        self.connection = connection
        self.wanted = wanted
        self.condition = where(wanted, DIALECT)
        self.state_counts = StateCounts(connection)
        self.window = _window(connection, wanted)

    @property
    def is_counted(self) -> bool:
        """Whether the queues' counters alone tell how many match."""
        return self.wanted == JobFilter(queue=self.wanted.queue, states=self.wanted.states)

    @property
    def is_of_finished(self) -> bool:
        """Whether the index of finished jobs alone tells which completed ones match."""
        wanted = self.wanted
        return wanted == JobFilter(
            queue=wanted.queue, states=wanted.states, completed=wanted.completed
        )

    @property
    def walk(self) -> int:
        """Steps of a walk over all jobs that were created in the wanted span."""
        return min(self.window.last - self.window.first + 1, self.state_counts.total)

    @cached_property
    def candidates(self) -> Candidates | None:
        """The fewest candidates that an index can name."""
        most = max(_SMALLEST_PROBE, self.state_counts.total // _PROBED_SHARE)
        return narrowest(self.connection, self.wanted, self.state_counts, most)

    def candidates_of_all(self) -> tuple[Candidates | None, int]:
        """Where to see all matches, None for a walk; and its steps."""
        if self.candidates is None or self.candidates.rows * STEPS_A_CANDIDATE > self.walk:
            return None, self.walk
        return self.candidates, self.candidates.rows * STEPS_A_CANDIDATE

    def route_to_first(self, jobs: int, matches: int | None) -> Route:
        """How to come to the first `jobs` matches; `matches` is how many there are, if it is known.

        A walk ends with the last of them, soon where they are common. They need not lie evenly,
        though: if it takes much longer than it then would, the candidates names the rest.
        """
        candidates, steps = self.candidates_of_all()
        if candidates is None and self.candidates is not None:
            of_all = self.candidates.steps
            # A walk looks at their tags as well, and reads whole jobs.
            if of_all is not None and of_all <= self.walk * STEPS_IN_AN_INDEX:
                candidates, steps = self.candidates, of_all
        if candidates is None:
            return Route(self.window.last)
        if matches is None:
            matches = self.state_counts.jobs(self.wanted.queue, self.wanted.states)
            if not self.is_counted:
                matches = min(int(matches * _GUESSED_SHARE), candidates.rows)
        if steps * matches <= jobs * self.state_counts.total:
            return Route(0, candidates)
        far = _PATIENCE * jobs * self.state_counts.total // matches
        return Route(min(max(far, _SHORTEST_WALK), steps), candidates)

    def select(
        self,
        columns: str,
        candidates: Candidates | None,
        *conditions: Sql,
        window: Window | None = None,
    ) -> Sql:
        """`columns` of the jobs from `candidates` (None: of all) that match, and meet `conditions`.

        A narrower window than that of the filter is given, not added: SQLite uses one of two.
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
    """The seq of a job as `Plan.select` reads it, in whose order `candidates` has it if it has any."""
    return "jobs.seq" if candidates is None else "c.seq"


def _window(connection: sqlite3.Connection, wanted: JobFilter) -> Window:
    """The first and last seq that jobs created in the wanted span can have.

    Jobs are created in the order of their seqs, so the ends of the span are found by halving.
    """
    first, last = fetch_one(connection, SQL.seq_range)
    if wanted.created.after is not None:
        first = _seq_since(connection, wanted.created.after + 1, first, last)
    if wanted.created.before is not None:
        last = _seq_since(connection, wanted.created.before, first, last) - 1
    return Window(first, last)


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
