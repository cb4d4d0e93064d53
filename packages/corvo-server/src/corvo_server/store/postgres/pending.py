"""Pending jobs, the limits of their queues, and the jobs that workers have leased."""

from collections import Counter
from collections.abc import Collection, Mapping

from corvo_server.store.commit.prefetch import Prefetch
from corvo_server.store.commit.tables import Place, QueueLimits, Starts
from corvo_server.store.postgres.pipeline import Pipeline, Rows
from corvo_server.store.postgres.rows import SQL, Row, as_json, to_leased
from corvo_server.store.records import Holder, LeasedJob
from corvo_server.store.sizes import count_fitting

_THROTTLE_MARGIN = 10_000
"""Milliseconds for which starts are stored beyond the window of a rate limit."""
_READ_AHEAD = 4 * 1024 * 1024
"""Bytes of documents that are read together with the places of their jobs, at most."""


class PendingJobs:
    """Implements `store.commit.tables.PendingTable`.

    It locks each pending job that it returns; other servers skip the job until the commit. A job
    that is not started is free again only then. So `left` counts such jobs, for the notification.
    """

    def __init__(self, pipeline: Pipeline, prefetch: Prefetch) -> None:
        """Send the statement for the limits of the queues in `prefetch`, without waiting."""
        self._pipeline = pipeline
        self._places: dict[int, str] = {}
        """The queue of each job that is locked but not taken, by seq."""
        self._loaded: dict[int, LeasedJob] = {}
        """Jobs whose whole row has been read, by seq."""
        self._sizes: dict[int, int] = {}
        """The size in bytes of each job that was found, by seq."""
        self._prefetched: tuple[set[str], Rows] | None = None
        if prefetch.queues:
            self._prefetched = prefetch.queues, self._lock(prefetch.queues)

    @property
    def left(self) -> Mapping[str, int]:
        """The number of jobs that are locked but not taken, by queue."""
        return Counter(self._places.values())

    def forget_limits(self) -> None:
        """Drop the prefetched limits: this transaction changed settings, counters or operations."""
        self._prefetched = None

    def limits(self, queues: Collection[str]) -> dict[str, QueueLimits]:
        if self._prefetched is not None and self._prefetched[0].issuperset(queues):
            rows = self._prefetched[1]()
            self._prefetched = None
        else:
            rows = self._lock(queues)()
        return {name: QueueLimits(*limits) for name, *limits in rows}

    def _lock(self, queues: Collection[str]) -> Rows:
        names = (as_json(queues),)
        self._pipeline.send(SQL.lock_limited_queues, names)
        # This statement must begin after the locks are granted: a transaction that starts jobs of a
        # limited queue locks its row until the commit, so the counters are up to date now.
        return self._pipeline.request(SQL.queue_limits, names)

    def starts(self, queue: str, since: int, until: int) -> Starts:
        # The clock of another server may be behind and its window begin earlier, hence the margin.
        self._pipeline.write(SQL.forget_starts, (queue, since - _THROTTLE_MARGIN, until))
        (row,) = self._pipeline.ask(SQL.starts_since, (queue, since))
        return Starts(*row)

    def add_starts(self, queue: str, at: int, count: int) -> None:
        self._pipeline.write(SQL.add_starts, (queue, at, count))

    def first(self, rooms: Mapping[str, int], now: int) -> dict[str, list[Place]]:
        if len(rooms) == 1:
            ((queue, room),) = rooms.items()
            return {queue: self._load_first(queue, now, room)}
        wanted = [{"queue": queue, "room": room} for queue, room in rooms.items()]
        places: dict[str, list[Row]] = {queue: [] for queue in rooms}
        for queue, *place in self._pipeline.ask(SQL.first_pending, (as_json(wanted), now)):
            places[queue].append(tuple(place))
        return {queue: self._note_locked(queue, rows) for queue, rows in places.items()}

    def _load_first(self, queue: str, now: int, room: int) -> list[Place]:
        """Return the first places of a queue, and load their jobs if these are small."""
        if room == 1:
            rows = self._pipeline.ask(SQL.first_pending_with_payload, (queue, now, room))
            self._loaded.update(map(to_leased, rows))
            places = [(row[4], row[0], self._loaded[row[0]].size) for row in rows]
            return self._note_locked(queue, places)
        small = _READ_AHEAD // (3 * room)
        values = (small, small, small, queue, now, room)
        places = []
        for row in self._pipeline.ask(SQL.first_pending_with_small_documents, values):
            sizes = [size or 0 for size in row[-3:]]
            if max(sizes) <= small:
                seq, self._loaded[seq] = to_leased(row[:-3])
            places.append((row[4], row[0], sum(sizes)))
        return self._note_locked(queue, places)

    def first_after(self, queue: str, after: int, now: int, count: int) -> list[Place]:
        values = {"queue": queue, "after": after, "now": now, "count": count}
        return self._note_locked(queue, self._pipeline.ask(SQL.first_pending_after, values))[:count]

    def keys(self, queue: str) -> list[tuple[str, int]]:
        rows = self._pipeline.ask(SQL.pending_keys, {"queue": queue})
        return [(key, active) for key, active in rows]

    def first_without_key(self, queue: str, after: int, now: int, count: int) -> list[Place]:
        rows = self._pipeline.ask(SQL.first_pending_without_key, (queue, after, now, count))
        return self._note_locked(queue, rows)

    def first_of_keys(
        self, queue: str, rooms: Mapping[str, int], after: int, now: int
    ) -> dict[str, list[Place]]:
        wanted = as_json({"key": key, "room": room} for key, room in rooms.items())
        values = {"rooms": wanted, "queue": queue, "after": after, "now": now}
        places: dict[str, list[Row]] = {key: [] for key in rooms}
        for key, *place in self._pipeline.ask(SQL.first_pending_of_keys, values):
            places[key].append(tuple(place))
        return {key: self._note_locked(queue, rows) for key, rows in places.items()}

    def first_in_order(self, queue: str, after: int, now: int, count: int) -> list[Place]:
        values = {"queue": queue, "after": after, "now": now, "count": count}
        return self._note_locked(queue, self._pipeline.ask(SQL.first_pending_in_order, values))

    def _note_locked(self, queue: str, rows: list[Row]) -> list[Place]:
        # A row that another transaction changed just before can be out of order: PostgreSQL locks
        # its newest version without sorting again.
        places = sorted(Place(priority, seq) for priority, seq, _ in rows)
        self._places.update((place.seq, queue) for place in places)
        self._sizes.update((seq, size) for _, seq, size in rows)
        return places

    def load(self, seqs: list[int], max_bytes: int) -> list[LeasedJob]:
        seqs = seqs[: count_fitting((self._sizes[seq] for seq in seqs), max_bytes)]
        for seq in seqs:
            self._places.pop(seq, None)
        more = [seq for seq in seqs if seq not in self._loaded]
        if more:
            rows = self._pipeline.ask(SQL.claimed_by_seq, (as_json(more),))
            self._loaded.update(map(to_leased, rows))
        return [self._loaded[seq] for seq in seqs]


def list_holders(pipeline: Pipeline) -> list[Holder]:
    """Return the workers that have active jobs, with the number of their jobs."""
    return [Holder(*row) for row in pipeline.ask(SQL.list_holders)]
