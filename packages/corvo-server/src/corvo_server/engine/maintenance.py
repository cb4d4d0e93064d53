"""The server's own work on jobs whose time has come: promote, reclaim, expire, prune."""

from functools import partial

from msgspec import Struct

from corvo_server.engine import lifecycle
from corvo_server.engine.alarm import Alarm
from corvo_server.engine.clock import Clock, surely
from corvo_server.engine.metrics import Metrics
from corvo_server.engine.notifier import Notifier
from corvo_server.engine.verbs import Part, verb
from corvo_server.store.protocol import Store
from corvo_server.store.records import Maintain, NextTimes, Prune

_CHUNK = 500
_PRUNE_CHUNK = 200
"""Small enough that a fetch that shares the commit does not notice."""


class Retention(Struct, frozen=True):
    """How long finished things stay, in ms; 0 keeps them for ever."""

    completed: int
    """Completed and cancelled jobs, and batches."""
    dead: int
    events: int


class Maintenance(Part):
    """Each verb does one chunk and says how much it was; 0 means that nothing is left to do.

    The alarms ring when there may be something again.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        notifier: Notifier,
        metrics: Metrics,
        retention: Retention,
    ) -> None:
        self._store = store
        self._clock = clock
        self._surely = surely(clock)
        self._notifier = notifier
        self._metrics = metrics
        self._retention = retention
        self.due = Alarm(clock)
        self.lease_end = Alarm(self._surely)
        self.expiry = Alarm(clock)
        self.opening = Alarm(clock)

    def note(self, times: NextTimes) -> None:
        """A commit made something fall due at these moments."""
        self.due.ring_by(times.due)
        self.lease_end.ring_by(times.lease_end)
        self.expiry.ring_by(times.expiry)

    async def next_times(self) -> NextTimes:
        """The earliest moments among all stored jobs."""
        return await self._store.next_times()

    def next_opening(self) -> int | None:
        """When the first throttled queue that has jobs may serve again."""
        return self._notifier.next_opening()

    def open_queues(self) -> int:
        """Let waiting fetches look at throttled queues that may serve again; how many queues."""
        return self._notifier.open_due(self._clock())

    @verb
    async def promote(self) -> int:
        """Make scheduled and retrying jobs pending that are due."""
        now = self._clock()
        return await self._store.promote(Maintain(now, _CHUNK, partial(lifecycle.promote, now=now)))

    @verb
    async def reclaim(self) -> int:
        """Take back jobs whose lease has ended, also by the clock of the node that gave it."""
        now = self._surely()
        reclaimed = await self._store.reclaim(
            Maintain(now, _CHUNK, partial(lifecycle.reclaim, now=now))
        )
        self._metrics.lease_expiries.inc(reclaimed)
        return reclaimed

    @verb
    async def expire(self) -> int:
        """End waiting jobs that were not finished in time."""
        now = self._clock()
        return await self._store.expire(Maintain(now, _CHUNK, partial(lifecycle.expire, now=now)))

    @verb
    async def prune(self) -> int:
        """Remove what has been finished for longer than its retention."""
        now = self._clock()
        return await self._store.prune(
            Prune(
                now=now,
                limit=_PRUNE_CHUNK,
                finished_before=_before(now, self._retention.completed),
                dead_before=_before(now, self._retention.dead),
                events_before=_before(now, self._retention.events),
            )
        )


def _before(now: int, kept: int) -> int | None:
    return now - kept if kept else None
