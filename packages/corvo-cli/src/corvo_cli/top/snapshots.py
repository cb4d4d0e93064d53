"""Compute the numbers of the live view from two snapshots of a server. No I/O, no screen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corvo_client import ClusterStatus, QueueInfo, WorkerInfo

Measure = Callable[["QueueRates"], float]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a server at one time. `at` is in seconds of a monotonic clock."""

    at: float
    cluster: "ClusterStatus"
    queues: "Sequence[QueueInfo]"
    workers: "Sequence[WorkerInfo]"


@dataclass(frozen=True, slots=True)
class QueueRates:
    """A queue with its rates: jobs enqueued, jobs ended and attempts failed per second."""

    queue: "QueueInfo"
    enqueued_per_s: float = 0.0
    ended_per_s: float = 0.0
    failed_per_s: float = 0.0


SORTS: dict[str, Measure] = {
    "pending": lambda rates: rates.queue.pending,
    "active": lambda rates: rates.queue.active,
    "dead": lambda rates: rates.queue.dead,
    "oldest pending": lambda rates: rates.queue.oldest_pending_ms or 0,
    "enqueued per second": lambda rates: rates.enqueued_per_s,
    "ended per second": lambda rates: rates.ended_per_s,
}
"""Sort orders by name. The largest value comes first; queues with equal values sort by name."""


@dataclass(slots=True)
class Snapshots:
    """The latest snapshot and the one before it."""

    previous: Snapshot | None = None
    latest: Snapshot | None = None
    _previous_queues: "dict[str, QueueInfo]" = field(default_factory=dict)

    def add(self, snapshot: Snapshot) -> None:
        """Store a new snapshot and drop the oldest one."""
        self.previous, self.latest = self.latest, snapshot
        queues = self.previous.queues if self.previous else ()
        self._previous_queues = {queue.name: queue for queue in queues}

    def rates(self, sort: str) -> list[QueueRates]:
        """Return the rates of all queues, sorted by a key of `SORTS`."""
        if self.latest is None:
            return []
        measure = SORTS[sort]
        queues = [self._rates(queue) for queue in self.latest.queues]
        return sorted(queues, key=lambda rates: (-measure(rates), rates.queue.name))

    def total(self) -> QueueRates:
        """Return the summed rates of all queues, in a queue without a name."""
        queues = self.rates("pending")
        names = ("pending", "active", "scheduled", "retrying", "completed", "dead", "cancelled")
        sums = {name: sum(getattr(rates.queue, name) for rates in queues) for name in names}
        from corvo_client import QueueInfo  # noqa: PLC0415 - slow to load

        return QueueRates(
            QueueInfo(name="", **sums),
            sum(rates.enqueued_per_s for rates in queues),
            sum(rates.ended_per_s for rates in queues),
            sum(rates.failed_per_s for rates in queues),
        )

    def _rates(self, queue: "QueueInfo") -> QueueRates:
        previous = self._previous_queues.get(queue.name)
        if previous is None or self.previous is None or self.latest is None:
            return QueueRates(queue)
        seconds = max(self.latest.at - self.previous.at, 0.001)
        # Removed jobs are no longer counted as ended, so the difference can be negative.
        ended = _ended(queue) - _ended(previous)
        return QueueRates(
            queue,
            enqueued_per_s=max(0, queue.enqueued - previous.enqueued) / seconds,
            ended_per_s=max(0, ended) / seconds,
            failed_per_s=max(0, queue.failed - previous.failed) / seconds,
        )


def _ended(queue: "QueueInfo") -> int:
    return queue.completed + queue.dead + queue.cancelled
