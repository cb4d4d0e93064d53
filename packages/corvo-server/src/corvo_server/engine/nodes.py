"""The servers that work on one store, and which of them does what only one may do."""

from msgspec import Struct

from corvo_server.__about__ import __version__
from corvo_server.engine.clock import Clock, SharedClock, Steady
from corvo_server.engine.notifier import Notifier
from corvo_server.store.nodes import NodeRecord, NodeReport, steady_clock
from corvo_server.store.protocol import Store
from corvo_server.store.records import Commit

BEAT = 1.0
"""Seconds from one report of a node to the next."""
_LEASE_MS = 4_000
"""How long the lead is held without a report. Another has it after that and a beat: 5 s at most."""
_MARGIN = 1.0
"""Seconds before its end at which a leader that gets no answer stops."""
_SILENT_AFTER = 5_000


class Node(Struct, frozen=True):
    """A server, as others see it."""

    record: NodeRecord
    status: str
    """`healthy`, or `silent` when it has not reported for a while."""


class Nodes:
    """This server among those that work on its store."""

    def __init__(
        self, store: Store, clock: Clock, notifier: Notifier, steady: Steady = steady_clock
    ) -> None:
        self.id = store.node_id
        self.address: str | None = None
        """Where others reach it, once it listens."""
        self._store = store
        self._clock = clock
        self._notifier = notifier
        self._steady = steady
        self._started_at: int | None = None
        self._leads_until = -float("inf")
        self._operations = 0
        self._rate = 0
        self._counted_at = steady()

    @property
    def is_alone(self) -> bool:
        """Whether no other server can work on the store."""
        return not self._store.is_shared

    @property
    def leads_for(self) -> float:
        """For how many seconds it may go on to lead; not positive when it does not lead."""
        return self._leads_until - self._steady()

    async def beat(self) -> None:
        """Report, set the clock, and take or keep the lead if no other has it."""
        asked = self._steady()
        result = await self._store.beat(self._report(), _LEASE_MS)
        if result.clock is not None and isinstance(self._clock, SharedClock):
            self._clock.look(result.clock)
        if not result.is_leader:
            self._leads_until = -float("inf")
        elif result.lease_ms is None:
            self._leads_until = float("inf")
        else:
            self._leads_until = asked + result.lease_ms / 1000 - _MARGIN

    async def leave(self) -> None:
        """Give the lead to whoever reports next, and be a node no more."""
        self._leads_until = -float("inf")
        await self._store.leave(self.id)

    async def list(self) -> list[Node]:
        """All nodes, the one that started first at the front."""
        now = self._clock()
        own = NodeRecord(self._report(), now, self.is_alone or self.leads_for > 0)
        others = [node for node in await self._store.list_nodes() if node.report.id != self.id]
        records = [own, *others]
        records.sort(key=lambda record: (record.report.started_at, record.report.id))
        return [
            Node(record, "silent" if now - record.last_seen > _SILENT_AFTER else "healthy")
            for record in records
        ]

    def note(self, commit: Commit) -> None:
        """Count what a commit of this node brought about."""
        self._operations += commit.operations

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
