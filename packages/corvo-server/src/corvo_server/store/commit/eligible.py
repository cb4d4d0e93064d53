"""Which pending jobs of a queue may be started now, and in what order: pauses, limits, fairness."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping

from corvo_server.store.commit.tables import Place, QueueLimits
from corvo_server.store.commit.transaction import Transaction

_UNLIMITED = QueueLimits()
_APART = 5_000
"""Milliseconds. What lies further ahead is from before the clock was set back."""


class EligibleJobs:
    """The first pending jobs of one queue that may be started in this commit."""

    def __init__(self, tx: Transaction, queue: str, limits: QueueLimits, now: int) -> None:
        """`now`, in ms, is when the jobs would start at the earliest."""
        self.places: deque[Place] = deque()
        self._tx = tx
        self._queue = queue
        self._limits = limits
        self._now = now
        self._taken = 0

    def take(self) -> int:
        """The seq of the first job, which leaves the line."""
        self._taken += 1
        return self.places.popleft().seq

    def close(self, now: int) -> None:
        """Remember how many were started, and when, if the queue is throttled."""
        if self._taken and self._limits.rate is not None:
            self._tx.tables.pending.add_starts(self._queue, now, self._taken)

    def room(self, wanted: int) -> int:
        """How many of the `wanted` jobs the limits let start."""
        limits = self._limits
        if limits.is_paused:
            return 0
        room = wanted
        if limits.max_concurrency is not None:
            active = limits.active + self._tx.active_delta(self._queue)
            room = min(room, limits.max_concurrency - active)
        if limits.rate is not None and limits.window is not None:
            room = min(room, self._throttled_room(limits.rate, limits.window))
        return room

    def _throttled_room(self, rate: int, window: int) -> int:
        """How many may start so that no window of this length sees more than `rate` starts."""
        starts = self._tx.tables.pending.starts(self._queue, self._now - window)
        if starts.jobs >= rate and starts.oldest is not None:
            self._tx.open_queue_at(self._queue, starts.oldest + window)
        return rate - starts.jobs

    def first_fairly(self, count: int, max_per_key: int) -> list[Place]:
        """Within a priority, the keys with the fewest active jobs come first, then the oldest job.

        A job without a key stands for itself and is not limited.
        """
        lines = self._tx.tables.pending
        ranked = [
            (place.priority, 0, place)
            for place in lines.first_without_key(self._queue, self._now, count)
        ]
        active = dict(lines.keys(self._queue))
        rooms = {key: min(count, max_per_key - jobs) for key, jobs in active.items()}
        rooms = {key: room for key, room in rooms.items() if room > 0}
        if rooms:
            for key, places in lines.first_of_keys(self._queue, rooms, self._now).items():
                ranked += [
                    (place.priority, active[key] + i, place) for i, place in enumerate(places)
                ]
        return [place for _, _, place in sorted(ranked)[:count]]


def find_eligible(
    tx: Transaction, wanted: Mapping[str, int], clock: Callable[[], int]
) -> tuple[dict[str, EligibleJobs], int]:
    """The line of each queue, no longer than `wanted` says, and before when none of it starts."""
    limits = tx.tables.pending.limits(wanted)
    # Asked now: for the limits one may have had to wait until another server was done. Nothing
    # starts before what made it pending in this transaction.
    now = _not_before_others(limits.values(), max(tx.latest, clock()))
    lines: dict[str, EligibleJobs] = {}
    rooms: dict[str, int] = {}
    for queue, count in wanted.items():
        held = limits.get(queue, _UNLIMITED)
        line = lines[queue] = EligibleJobs(tx, queue, held, now)
        room = line.room(count)
        if room <= 0:
            continue
        if held.max_per_key is not None:
            line.places = deque(line.first_fairly(room, held.max_per_key))
        else:
            rooms[queue] = room
    if rooms:
        for queue, places in tx.tables.pending.first(rooms, now).items():
            lines[queue].places = deque(places)
    return lines, now


def _not_before_others(limits: Iterable[QueueLimits], now: int) -> int:
    """A moment after the last start of a throttled queue, by whichever server's clock.

    Windows look back from it: what was started after it would be in none.
    """
    starts = [held.last_start for held in limits if held.last_start is not None]
    return max([now, *(at for at in starts if at - now <= _APART)])
