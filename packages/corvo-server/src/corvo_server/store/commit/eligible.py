"""Selection of the pending jobs that a fetch may start: pauses, limits, and their order."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping

from corvo_schema.webhooks import is_delivery_queue
from corvo_server.store.commit.tables import Place, QueueLimits
from corvo_server.store.commit.transaction import Transaction
from corvo_server.store.records import LeasedJob

_NO_LIMITS = QueueLimits()
_MAX_CLOCK_LEAD = 5_000
"""Milliseconds. A recorded start further ahead than this dates from before a clock was set back."""


class EligibleJobs:
    """The eligible jobs of one queue, in the order in which one commit starts them."""

    def __init__(self, tx: Transaction, queue: str, limits: QueueLimits, now: int) -> None:
        """`now` is the earliest time in ms at which the jobs may start."""
        self.places: deque[Place] = deque()
        self._tx = tx
        self._queue = queue
        self._limits = limits
        self._now = now

    def take_first(self) -> int:
        """Remove the first job and return its seq."""
        return self.places.popleft().seq

    def record_starts(self, now: int, leased: Iterable[LeasedJob]) -> None:
        """If the queue has a rate limit, record its jobs in `leased` as started at `now` (ms)."""
        if self._limits.rate is None:
            return
        started = sum(job.head.queue == self._queue for job in leased)
        if started:
            self._tx.tables.pending.add_starts(self._queue, now, started)

    def count_startable(self, wanted: int) -> int:
        """Return how many jobs the limits let start, at most `wanted`; 0 or less for none."""
        limits = self._limits
        if limits.is_paused:
            return 0
        startable = wanted
        if limits.max_concurrency is not None:
            active = limits.active + self._tx.active_delta(self._queue)
            startable = min(startable, limits.max_concurrency - active)
        if limits.rate is not None and limits.window is not None:
            startable = min(startable, self._left_in_window(limits.rate, limits.window))
        return startable

    def first_by_key_fairness(self, count: int, max_per_key: int) -> list[Place]:
        """Return the first `count` jobs, at most `max_per_key` active jobs per concurrency key.

        Order by priority, then by the number of active jobs of the key, then by age. Each job
        without a key counts as a key of its own.
        """
        pending = self._tx.tables.pending
        after = self._limits.emptied_to or 0
        ranked = [
            (place.priority, 0, place)
            for place in pending.first_without_key(self._queue, after, self._now, count)
        ]
        active = dict(pending.keys(self._queue))
        rooms = {key: min(count, max_per_key - jobs) for key, jobs in active.items()}
        rooms = {key: room for key, room in rooms.items() if room > 0}
        if rooms:
            found = pending.first_of_keys(self._queue, rooms, after, self._now)
            for key, places in found.items():
                ranked += [
                    (place.priority, active[key] + i, place) for i, place in enumerate(places)
                ]
        return [place for _, _, place in sorted(ranked)[:count]]

    def _left_in_window(self, rate: int, window: int) -> int:
        """Return how many jobs may start before a window of `window` ms has `rate` starts.

        If none may, report the time at which the next one may.
        """
        until = self._now + _MAX_CLOCK_LEAD
        starts = self._tx.tables.pending.starts(self._queue, self._now - window, until)
        if starts.jobs >= rate and starts.oldest is not None:
            self._tx.open_queue_at(self._queue, starts.oldest + window)
        return rate - starts.jobs


def find_eligible(
    tx: Transaction, wanted: Mapping[str, int], clock: Callable[[], int]
) -> tuple[dict[str, EligibleJobs], int]:
    """Return up to `wanted` eligible jobs per queue, and the earliest start of any in ms."""
    limits = tx.tables.pending.limits(wanted)
    # Read the clock only now, because locking the limits may have waited for another server. No job
    # may start before the change in this transaction that made it pending.
    now = _not_before_last_start(limits.values(), max(tx.latest, clock()))
    eligible: dict[str, EligibleJobs] = {}
    rooms: dict[str, int] = {}
    for queue, count in wanted.items():
        queue_limits = limits.get(queue, _NO_LIMITS)
        jobs = eligible[queue] = EligibleJobs(tx, queue, queue_limits, now)
        room = jobs.count_startable(count)
        if room <= 0:
            continue
        if is_delivery_queue(queue):
            after = queue_limits.emptied_to or 0
            jobs.places = deque(tx.tables.pending.first_in_order(queue, after, now, room))
        elif queue_limits.max_per_key is not None:
            jobs.places = deque(jobs.first_by_key_fairness(room, queue_limits.max_per_key))
        elif queue_limits.emptied_to is not None:
            after = queue_limits.emptied_to
            jobs.places = deque(tx.tables.pending.first_after(queue, after, now, room))
        else:
            rooms[queue] = room
    if rooms:
        for queue, places in tx.tables.pending.first(rooms, now).items():
            eligible[queue].places = deque(places)
    return eligible, now


def _not_before_last_start(limits: Iterable[QueueLimits], now: int) -> int:
    """Return `now`, or the latest start that another server recorded if its clock is ahead.

    A window ends at the returned time. A start after it would not be counted in any window.
    """
    starts = [queue.last_start for queue in limits if queue.last_start is not None]
    return max([now, *(at for at in starts if at - now <= _MAX_CLOCK_LEAD)])
