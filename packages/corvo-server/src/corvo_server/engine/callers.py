"""The workers that called this node, in bounded memory."""

from collections.abc import Callable, Iterator, Sequence
from heapq import nsmallest

from msgspec import Struct, field

from corvo_server.store.workers import WorkerReport

FORGOTTEN_AFTER = 3_600_000
"""Milliseconds after its last call at which a worker is forgotten."""
_SWEEP_EVERY = 120_000
_MAX_CALLERS = 10_000
"""Number of workers kept in memory. Callers choose the ids, so their number has no limit."""
_MAX_QUEUES = 200_000
"""Number of names of queues kept in memory for all workers together."""
_MAX_LISTS = 64
"""Number of lists of queues kept for a worker. It fetches many queues, or of several kinds, in
turn."""
_PART = 1_000
"""Maximum number of workers that are reported together."""
_PART_QUEUES = 20_000
"""Number of names of queues at which a part of the reports is full."""


class Caller(Struct):
    """One worker that called this node; it chooses its id. Times are in ms since the epoch."""

    id: str
    hostname: str | None = None
    lists: dict[tuple[str, ...], int] = field(default_factory=dict)
    """Lists of queues that it fetched from within the last hour, with the time of the last one."""
    first_seen: int | None = None
    last_fetch: int | None = None
    last_heartbeat: int | None = None
    stopped_until: int | None = None
    """As in `WorkerReport`."""
    is_reported: bool = False
    """Whether the other nodes can see its last call."""

    @property
    def size(self) -> int:
        """Number of names of queues in the record."""
        return sum(map(len, self.lists))

    @property
    def last_seen(self) -> int:
        """Time of the last call, or `stopped_until` if it is later."""
        return max(self.last_fetch or 0, self.last_heartbeat or 0, self.stopped_until or 0)

    def forget_list(self, queues: tuple[str, ...]) -> int:
        """Forget a list of queues, and return its length."""
        del self.lists[queues]
        return len(queues)

    def report(self) -> WorkerReport:
        """Return what is known now."""
        return WorkerReport(
            self.id,
            self.hostname,
            tuple(self.lists.items()),
            self.first_seen,
            self.last_fetch,
            self.last_heartbeat,
            self.stopped_until,
        )


class Callers:
    """The workers that called this node within the last hour, and those that signed off here.

    If more than 10,000 workers call, those that have not called for the longest time are forgotten.
    So are they if the workers fetch from more than 200,000 queues in sum.
    """

    def __init__(self, on_new: Callable[[], None] = lambda: None) -> None:
        """Call `on_new` when a worker calls that is not known."""
        self._on_new = on_new
        self._seen: dict[str, Caller] = {}
        self._queues = 0
        """Number of names of queues in the records."""
        self._next_sweep = 0
        self.has_forgotten = False
        """Whether the store may have reports of this node on workers that it has forgotten."""

    def note_fetch(
        self, worker_id: str, hostname: str | None, queues: Sequence[str], now: int
    ) -> None:
        """Record a fetch of a worker."""
        caller = self._seen.get(worker_id)
        if caller is None or caller.first_seen is None:
            caller = self._note_first(worker_id, now)
        caller.is_reported = False
        caller.hostname = hostname
        caller.last_fetch = now
        fetched = tuple(queues)
        if fetched not in caller.lists:
            self._queues += len(fetched)
            if len(caller.lists) == _MAX_LISTS:
                self._queues -= caller.forget_list(min(caller.lists, key=caller.lists.__getitem__))
        caller.lists[fetched] = now
        if self._queues > _MAX_QUEUES:
            self._forget_oldest()

    def note_heartbeat(self, worker_id: str, now: int) -> None:
        """Record a heartbeat of a worker."""
        caller = self._seen.get(worker_id)
        if caller is None or caller.first_seen is None:
            caller = self._note_first(worker_id, now)
        caller.is_reported = False
        caller.last_heartbeat = now

    def note_stop(self, worker_id: str, until: int, now: int) -> Caller:
        """Forget the calls of a worker that has stopped. Return its record."""
        self._make_room(now)
        old = self._seen.pop(worker_id, None)
        if old is not None:
            self._queues -= old.size
        caller = self._seen[worker_id] = Caller(worker_id, stopped_until=until)
        return caller

    def serve(self, queue: str) -> bool:
        """Return whether one of the workers fetches from a queue."""
        return any(queue in queues for caller in self._seen.values() for queues in caller.lists)

    def reports(self) -> list[WorkerReport]:
        """Return what is known about each worker now."""
        return [caller.report() for caller in self._seen.values()]

    def unreported(self) -> Iterator[list[Caller]]:
        """Yield the workers whose last calls the other nodes cannot see, in parts of bounded size.

        Workers may call between two parts.
        """
        part: list[Caller] = []
        queues = 0
        for caller in [each for each in self._seen.values() if not each.is_reported]:
            part.append(caller)
            queues += caller.size
            if len(part) == _PART or queues >= _PART_QUEUES:
                yield part
                part, queues = [], 0
        if part:
            yield part

    def oldest(self, now: int) -> int:
        """Return the earliest of the times at which the known workers were last seen, or `now`."""
        return min((caller.last_seen for caller in self._seen.values()), default=now)

    def forget_old(self, now: int) -> None:
        """Forget what is older than an hour, if two minutes have passed since the last time."""
        if now < self._next_sweep:
            return
        self._next_sweep = now + _SWEEP_EVERY
        self.has_forgotten = True
        self._seen = {
            worker_id: caller
            for worker_id, caller in self._seen.items()
            if now - caller.last_seen < FORGOTTEN_AFTER
        }
        for caller in self._seen.values():
            caller.lists = {
                queues: at for queues, at in caller.lists.items() if now - at < FORGOTTEN_AFTER
            }
        self._queues = sum(caller.size for caller in self._seen.values())

    def _note_first(self, worker_id: str, now: int) -> Caller:
        """Record the first call of a worker that is not known, or that has signed off."""
        caller = self._seen.get(worker_id)
        if caller is None:
            self._make_room(now)
            caller = self._seen[worker_id] = Caller(worker_id)
        caller.first_seen = now
        self._on_new()
        return caller

    def _make_room(self, now: int) -> None:
        self.forget_old(now)
        if len(self._seen) >= _MAX_CALLERS:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        """Forget the tenth of the workers that has not called for the longest time."""
        self.has_forgotten = True
        for old in nsmallest(len(self._seen) // 10, self._seen.values(), key=_last_seen):
            self._queues -= old.size
            del self._seen[old.id]


def _last_seen(caller: Caller) -> int:
    return caller.last_seen
