"""Which pending jobs of a queue may be started now, and in what order: pauses, limits, fairness."""

from collections import deque
from typing import NamedTuple

from corvo_server.store.sqlite.rows import SQL
from corvo_server.store.sqlite.transaction import Transaction


class Place(NamedTuple):
    """Where a job stands in its queue's line; the lower one is served first."""

    priority: int
    seq: int


class _Limits(NamedTuple):
    is_paused: int
    max_concurrency: int | None
    max_per_key: int | None
    rate: int | None
    window: int | None
    active: int


class Line:
    """The first pending jobs of one queue that may be started in this commit."""

    def __init__(self, tx: Transaction, queue: str, wanted: int, now: int) -> None:
        """`wanted` is how many could be taken at most; `now`, in ms, is when they would start."""
        self._tx = tx
        self._queue = queue
        self._now = now
        self._taken = 0
        row = tx.connection.execute(SQL.queue_limits, (queue,)).fetchone()
        self._limits = _Limits(*row) if row else _Limits(0, None, None, None, None, 0)
        room = self._room(wanted)
        self.places: deque[Place] = deque(self._first(room) if room > 0 else ())

    def take(self) -> int:
        """The seq of the first job, which leaves the line."""
        self._taken += 1
        return self.places.popleft().seq

    def close(self) -> None:
        """Remember how many were started, if the queue is throttled."""
        if self._taken and self._limits.rate is not None:
            values = (self._queue, self._now, self._taken)
            self._tx.connection.execute(SQL.add_starts, values)

    def _room(self, wanted: int) -> int:
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
        connection = self._tx.connection
        connection.execute(SQL.forget_starts, (self._queue, self._now - window))
        values = (self._queue, self._now - window)
        starts, oldest = connection.execute(SQL.starts_since, values).fetchone()
        if starts >= rate:
            self._tx.open_queue_at(self._queue, oldest + window)
        return rate - int(starts)

    def _first(self, count: int) -> list[Place]:
        if self._limits.max_per_key is not None:
            return self._first_fairly(count, self._limits.max_per_key)
        return self._places(SQL.first_pending, (self._queue, self._now, count))

    def _first_fairly(self, count: int, max_per_key: int) -> list[Place]:
        """Within a priority, the keys with the fewest active jobs come first, then the oldest job.

        A job without a key stands for itself and is not limited.
        """
        ranked = [
            (place.priority, 0, place)
            for place in self._places(
                SQL.first_pending_without_key, (self._queue, self._now, count)
            )
        ]
        keys = self._tx.connection.execute(SQL.pending_keys, (self._queue,)).fetchall()
        for key, active in keys:
            room = min(count, max_per_key - active)
            if room > 0:
                places = self._places(SQL.first_pending_of_key, (self._queue, key, self._now, room))
                ranked += [(place.priority, active + i, place) for i, place in enumerate(places)]
        return [place for _, _, place in sorted(ranked)[:count]]

    def _places(self, statement: str, values: tuple[object, ...]) -> list[Place]:
        return [Place(*row) for row in self._tx.connection.execute(statement, values)]
