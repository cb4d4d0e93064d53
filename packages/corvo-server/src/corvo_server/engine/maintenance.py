"""The server's own work on due jobs: promote, reclaim, expire, prune."""

from functools import partial

from msgspec import Struct

from corvo_server.engine import lifecycle
from corvo_server.engine.alarm import Alarm
from corvo_server.engine.clock import Clock, lower_bound_of
from corvo_server.engine.metrics import Metrics
from corvo_server.engine.notifier import Notifier
from corvo_server.engine.verbs import Part, verb
from corvo_server.store.protocol import Store
from corvo_server.store.records import Maintain, NextTimes, Prune

_CHUNK = 500
"""Maximum number of jobs of one promote, reclaim or expire."""
_PRUNE_CHUNK = 200
"""Maximum number of rows of one prune: small, so that fetches in the same commit stay fast."""


class Retention(Struct, frozen=True):
    """How long old rows are kept, in ms; 0 keeps them forever."""

    completed: int
    """Completed and cancelled jobs, and batches."""
    dead: int
    events: int
    audit: int = 0
    """Entries of the audit log."""


class Maintenance(Part):
    """Each verb processes one chunk and returns its number of jobs; 0 means that none is due.

    The alarms end when jobs may be due again.
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
        self._lower_bound = lower_bound_of(clock)
        self._notifier = notifier
        self._metrics = metrics
        self._retention = retention
        self.due = Alarm(clock)
        self.lease_end = Alarm(self._lower_bound)
        self.expiry = Alarm(clock)
        self.opening = Alarm(clock)

    def note(self, times: NextTimes) -> None:
        """Set the alarms to the due times of the jobs of a commit."""
        self.due.bring_forward(times.due)
        self.lease_end.bring_forward(times.lease_end)
        self.expiry.bring_forward(times.expiry)

    async def next_times(self) -> NextTimes:
        """Return the earliest due times among all stored jobs."""
        return await self._store.next_times()

    def next_opening(self) -> int | None:
        """Return when the first queue at its rate limit may start jobs again; None without one."""
        return self._notifier.next_opening()

    def open_queues(self) -> int:
        """Wake the fetches of queues whose rate limit allows jobs again. Return their number."""
        return self._notifier.open_due(self._clock())

    @verb
    async def promote(self) -> int:
        """Make due scheduled and retrying jobs pending."""
        now = self._clock()
        return await self._store.promote(Maintain(now, _CHUNK, partial(lifecycle.promote, now=now)))

    @verb
    async def reclaim(self) -> int:
        """Reclaim jobs whose lease has expired by the earliest estimate of the shared time."""
        now = self._lower_bound()
        reclaimed = await self._store.reclaim(
            Maintain(now, _CHUNK, partial(lifecycle.reclaim, now=now))
        )
        self._metrics.lease_expiries.inc(reclaimed)
        return reclaimed

    @verb
    async def expire(self) -> int:
        """Make waiting jobs past their expiry dead."""
        now = self._clock()
        return await self._store.expire(Maintain(now, _CHUNK, partial(lifecycle.expire, now=now)))

    @verb
    async def prune(self) -> int:
        """Delete finished jobs, batches and events that are older than their retention."""
        now = self._clock()
        return await self._store.prune(
            Prune(
                now=now,
                limit=_PRUNE_CHUNK,
                finished_before=_before(now, self._retention.completed),
                dead_before=_before(now, self._retention.dead),
                events_before=_before(now, self._retention.events),
                audit_before=_before(now, self._retention.audit),
            )
        )


def _before(now: int, retention: int) -> int | None:
    return now - retention if retention else None
