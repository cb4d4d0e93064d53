"""The nodes of a store, their heartbeats, and the leader lease that one of them holds."""

import logging

from msgspec import Struct

from corvo_server.__about__ import __version__
from corvo_server.engine.access import scope_of_caller
from corvo_server.engine.clock import Clock, MachineClock, SharedClock, Steady, wall_of
from corvo_server.engine.notifier import Notifier
from corvo_server.store.nodes import HeartbeatResult, NodeRecord, NodeReport, steady_clock
from corvo_server.store.protocol import Store, StoreError
from corvo_server.store.records import Commit

log = logging.getLogger(__name__)

BEAT = 1.0
"""Seconds between two heartbeats of a node."""
_LEASE_MS = 4_000
"""Length of the leader lease in ms. A failed leader is replaced within it plus `BEAT`: 5 s."""
_MARGIN = 1.0
"""Seconds before the end of its lease at which a leader stops if it could not renew the lease."""
_SILENT_AFTER = 5_000
"""Milliseconds after its last heartbeat at which a node counts as silent."""


class Node(Struct, frozen=True):
    """A node as the others see it."""

    record: NodeRecord
    status: str
    """`healthy`, or `silent` if its last heartbeat is more than 5 s old."""
    has_load: bool = True
    """Whether the caller may learn its load, which tells about all queues."""


class Nodes:
    """This node's heartbeats and leader lease, and the list of all nodes of its store."""

    def __init__(
        self, store: Store, clock: Clock, notifier: Notifier, steady: Steady = steady_clock
    ) -> None:
        self.id = store.node_id
        self.address: str | None = None
        """URL of this node; None until it listens."""
        self._store = store
        self._clock = clock
        self._notifier = notifier
        self._steady = steady
        self._wall = wall_of(clock)
        self._has_resumed = False
        self._started_at: int | None = None
        self._lease_end = -float("inf")
        self._operations = 0
        self._rate = 0
        self._counted_at = steady()

    @property
    def is_alone(self) -> bool:
        """Whether no other node can use the store."""
        return not self._store.is_shared

    @property
    def remaining_lease(self) -> float:
        """Remaining leader lease in seconds; zero or negative if this node is not the leader."""
        return self._lease_end - self._steady()

    async def beat(self) -> None:
        """Record this node's heartbeat, adjust the clock, and store a jump of the wall clock.

        Acquire the leader lease if it is free; renew it if this node holds it.
        """
        # The lease starts before the request, so that it ends here before it ends in the store.
        asked_at = self._steady()
        result = await self._store.beat(self._report(), _LEASE_MS)
        if not result.is_leader:
            self._lease_end = -float("inf")
        elif result.lease_ms is None:
            self._lease_end = float("inf")
        else:
            self._lease_end = asked_at + result.lease_ms / 1000 - _MARGIN
        await self._keep_time(result)

    async def leave(self) -> None:
        """Give up the leader lease and remove this node from the store's list."""
        self._lease_end = -float("inf")
        await self._store.leave(self.id)

    async def list(self) -> list[Node]:
        """Return all nodes, the one that started first at the front."""
        now = self._clock()
        own = NodeRecord(self._report(), now, self.is_alone or self.remaining_lease > 0)
        others = [node for node in await self._store.list_nodes() if node.report.id != self.id]
        records = [own, *others]
        has_load = scope_of_caller() is None
        records.sort(key=lambda record: (record.report.started_at, record.report.id))
        return [
            Node(
                record,
                "silent" if now - record.last_seen > _SILENT_AFTER else "healthy",
                has_load=has_load,
            )
            for record in records
        ]

    def note(self, commit: Commit) -> None:
        """Count the operations of a commit of this node."""
        self._operations += commit.operations

    async def _keep_time(self, result: HeartbeatResult) -> None:
        clock = self._clock
        if isinstance(clock, SharedClock) and result.clock is not None:
            clock.follow(result.clock, result)
        elif isinstance(clock, MachineClock):
            if not self._has_resumed:
                self._has_resumed = True
                clock.resume(result.wall_offset, result.newest)
            clock.observe()
        else:
            return
        if self._wall.offset != result.wall_offset and result.is_leader:
            try:
                await self._store.set_wall_offset(result.wall_offset, self._wall.offset)
            except StoreError as error:  # the next heartbeat tries again
                log.warning("the offset of the wall clock was not stored: %s", error)

    def _report(self) -> NodeReport:
        now = self._steady()
        if now - self._counted_at >= BEAT / 2:
            self._rate = round(self._operations / (now - self._counted_at))
            self._operations, self._counted_at = 0, now
        if self._started_at is None:
            self._started_at = self._clock()
        return NodeReport(
            id=self.id,
            version=__version__,
            address=self.address,
            started_at=self._started_at,
            waiting_fetches=self._notifier.waiting,
            backlog=self._store.backlog,
            operations=self._rate,
        )
