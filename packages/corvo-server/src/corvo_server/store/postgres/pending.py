"""Pending jobs in the lines of their queues, and the jobs that workers hold."""

from collections import Counter
from collections.abc import Collection, Mapping

from corvo_server.store.commit.prefetch import Prefetch
from corvo_server.store.commit.tables import Place, QueueLimits, Starts
from corvo_server.store.postgres.pipeline import Pipeline, Rows
from corvo_server.store.postgres.rows import SQL, Row, as_json, to_leased
from corvo_server.store.records import Holder, LeasedJob

_KEPT = 10_000


class PendingJobs:
    """Implements `store.commit.tables.PendingTable`.

    A place that was given is locked, and passed over by other servers until the commit. Those that
    nobody took are theirs again only then: `left` tells, so that they can be told.
    """

    def __init__(self, pipeline: Pipeline, prefetch: Prefetch) -> None:
        """Ask for all that `prefetch` foresees, without waiting for it."""
        self._pipeline = pipeline
        self._places: dict[int, str] = {}
        """The queue by seq of what is locked and not taken."""
        self._whole: dict[int, LeasedJob] = {}
        self._prefetched: tuple[set[str], Rows] | None = None
        if prefetch.queues:
            self._prefetched = prefetch.queues, self._lock(prefetch.queues)

    @property
    def left(self) -> Mapping[str, int]:
        """By queue, how many jobs were locked and not taken."""
        return Counter(self._places.values())

    def forget_limits(self) -> None:
        """Settings have changed in this transaction."""
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
        self._pipeline.send(SQL.lock_limited, names)
        # Counted only now: whoever started jobs of a limited queue held its row till the commit.
        return self._pipeline.request(SQL.queue_limits, names)

    def starts(self, queue: str, since: int) -> Starts:
        # Not at once: the clock of another server may be a little behind.
        self._pipeline.write(SQL.forget_starts, (queue, since - _KEPT))
        (row,) = self._pipeline.ask(SQL.starts_since, (queue, since))
        return Starts(*row)

    def add_starts(self, queue: str, at: int, count: int) -> None:
        self._pipeline.write(SQL.add_starts, (queue, at, count))

    def first(self, rooms: Mapping[str, int], now: int) -> dict[str, list[Place]]:
        if len(rooms) == 1:
            ((queue, room),) = rooms.items()
            rows = self._pipeline.ask(SQL.first_pending_whole, (queue, now, room))
            self._whole.update(map(to_leased, rows))
            return {queue: self._hold(queue, [(row[4], row[0]) for row in rows])}
        wanted = [{"queue": queue, "room": room} for queue, room in rooms.items()]
        places: dict[str, list[Row]] = {queue: [] for queue in rooms}
        for queue, *place in self._pipeline.ask(SQL.first_pending, (as_json(wanted), now)):
            places[queue].append(tuple(place))
        return {queue: self._hold(queue, rows) for queue, rows in places.items()}

    def keys(self, queue: str) -> list[tuple[str, int]]:
        rows = self._pipeline.ask(SQL.pending_keys, {"queue": queue})
        return [(key, active) for key, active in rows]

    def first_without_key(self, queue: str, now: int, count: int) -> list[Place]:
        rows = self._pipeline.ask(SQL.first_pending_without_key, (queue, now, count))
        return self._hold(queue, rows)

    def first_of_keys(
        self, queue: str, rooms: Mapping[str, int], now: int
    ) -> dict[str, list[Place]]:
        wanted = as_json({"key": key, "room": room} for key, room in rooms.items())
        values = {"rooms": wanted, "queue": queue, "now": now}
        places: dict[str, list[Row]] = {key: [] for key in rooms}
        for key, *place in self._pipeline.ask(SQL.first_pending_of_keys, values):
            places[key].append(tuple(place))
        return {key: self._hold(queue, rows) for key, rows in places.items()}

    def _hold(self, queue: str, rows: list[Row]) -> list[Place]:
        # The rows are in the order of the index; one that changed just before may be out of it.
        places = sorted(Place(*row) for row in rows)
        self._places.update((place.seq, queue) for place in places)
        return places

    def load(self, seqs: list[int]) -> dict[int, LeasedJob]:
        for seq in seqs:
            self._places.pop(seq, None)
        more = [seq for seq in seqs if seq not in self._whole]
        if more:
            rows = self._pipeline.ask(SQL.claimed_by_seq, (as_json(more),))
            self._whole.update(map(to_leased, rows))
        return {seq: self._whole[seq] for seq in seqs}


def list_holders(pipeline: Pipeline) -> list[Holder]:
    """The workers that hold active jobs."""
    return [Holder(*row) for row in pipeline.ask(SQL.list_holders)]
