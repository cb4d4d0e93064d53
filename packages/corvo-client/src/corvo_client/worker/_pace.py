"""How many jobs a worker may hold beyond those that run."""

from typing import NamedTuple

HEAD_START = 0.05
"""Seconds of work that are fetched beyond what ends during a fetch, where jobs are that short."""
MAX_AHEAD = 1024
MAX_GROWTH = 8
"""A few jobs that were short are no reason to hold many: no more than so many times as many."""


class Ahead(NamedTuple):
    """Once no more than `low` jobs wait for a slot it is time to fetch, up to `high` of them."""

    low: int
    high: int


NONE = Ahead(0, 0)


def ahead(ended: int, seconds: float, latency: float, size: int) -> Ahead:
    """Tell how far ahead of `size` slots to fetch, where `ended` jobs took so many seconds.

    `latency` is how many seconds a fetch takes. What ends until it is answered is asked for that
    much earlier, so that no slot is idle meanwhile. Only where that would empty all slots, as jobs
    are shorter than a fetch, more are held: requests that are full cost less a job. Long jobs make
    it zero: none is held that another worker could run.
    """
    if seconds <= 0:
        return NONE
    rate = ended / seconds
    most = min(ended * MAX_GROWTH, MAX_AHEAD)
    ending = min(int(rate * latency), most)
    if ending < size:
        return Ahead(0, ending)
    return Ahead(ending, min(int(rate * (latency + HEAD_START)), most))


class Pace:
    """Looks at the last fetches to tell how far ahead the next one may be.

    `busy` is for how many seconds in all there have been jobs running, `finished` how many have
    ended: the pace is that of the work, whatever time was lost with waiting for jobs.
    """

    def __init__(self) -> None:
        self._last = (0.0, 0)
        self._last_but_one = (0.0, 0)
        self._asked_at = 0.0
        self._latency = 0.0
        self._is_behind = False

    def begin(self, now: float, busy: float, finished: int) -> None:
        """Note that a fetch is sent."""
        self._asked_at = now
        self._last_but_one, self._last = self._last, (busy, finished)

    def end(self, now: float, *, is_full: bool) -> None:
        """Note that it was answered, and whether with as many jobs as it had asked for.

        Only then there are likely to be more, and only then was the answer not waited for.
        """
        self._latency = now - self._asked_at
        self._is_behind = is_full

    def ahead(self, busy: float, finished: int, size: int) -> Ahead:
        """Tell how far ahead to be, at the rate since the last fetch but one."""
        if not self._is_behind:
            return NONE
        since, already = self._last_but_one
        return ahead(finished - already, busy - since, self._latency, size)
