"""Prefetch: how many jobs a worker fetches before it has free slots for them."""

from typing import NamedTuple

PREFETCH_SECONDS = 0.05
"""Seconds of work that are prefetched beyond the duration of a fetch, if jobs are short."""
MAX_PREFETCH = 1024
"""Maximum number of prefetched jobs."""

MAX_GROWTH = 8
"""Maximum ratio of prefetched jobs to finished jobs, so that few samples prefetch few jobs."""


class Prefetch(NamedTuple):
    """Limits of prefetched jobs: fetch if at most `low` wait for a slot, up to `high` in total."""

    low: int
    high: int


NO_PREFETCH = Prefetch(0, 0)


def prefetch_limits(finished: int, seconds: float, latency: float, size: int) -> Prefetch:
    """Return the prefetch limits of `size` slots that finished `finished` jobs in `seconds`.

    `latency` is the duration of a fetch in seconds. A fetch asks for the jobs that will finish
    before its answer arrives, so that no slot is idle meanwhile. If more than `size` jobs finish in
    that time, more jobs are prefetched, because large fetches cost less per job. With long jobs the
    limits are zero, so that other workers can run the waiting jobs.
    """
    if seconds <= 0:
        return NO_PREFETCH
    rate = finished / seconds
    limit = min(finished * MAX_GROWTH, MAX_PREFETCH)
    finishing = min(int(rate * latency), limit)
    if finishing < size:
        return Prefetch(0, finishing)
    return Prefetch(finishing, min(int(rate * (latency + PREFETCH_SECONDS)), limit))


class Pace:
    """Measures the rate of finished jobs between fetches, and derives the prefetch limits.

    `busy` is the total time with at least one running job, in seconds; `finished` is the number of
    finished jobs. Idle time is not part of the rate.
    """

    def __init__(self) -> None:
        self._last = (0.0, 0)
        self._before_last = (0.0, 0)
        self._sent_at = 0.0
        self._latency = 0.0
        self._is_behind = False

    def begin(self, now: float, busy: float, finished: int) -> None:
        """Record that a fetch is sent."""
        self._sent_at = now
        self._before_last, self._last = self._last, (busy, finished)

    def end(self, now: float, *, is_full: bool) -> None:
        """Record the answer to the fetch. `is_full`: it had as many jobs as requested.

        Only then are more jobs likely, and only then is the latency free of waiting for jobs.
        """
        self._latency = now - self._sent_at
        self._is_behind = is_full

    def prefetch(self, busy: float, finished: int, size: int) -> Prefetch:
        """Return the prefetch limits for the rate since the fetch before the last one."""
        if not self._is_behind:
            return NO_PREFETCH
        since, already = self._before_last
        return prefetch_limits(finished - already, busy - since, self._latency, size)
