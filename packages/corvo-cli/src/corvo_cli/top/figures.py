"""What the live view shows, worked out from two looks at a server. No I/O, no screen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corvo_client import ClusterStatus, QueueInfo, WorkerInfo

Measure = Callable[["Flow"], float]


@dataclass(frozen=True, slots=True)
class Look:
    """What a server said of itself. `at` is in seconds, by a clock that only goes forward."""

    at: float
    cluster: "ClusterStatus"
    queues: "Sequence[QueueInfo]"
    workers: "Sequence[WorkerInfo]"


@dataclass(frozen=True, slots=True)
class Flow:
    """A queue, and how many jobs a second came in, ended, and failed in an attempt."""

    queue: "QueueInfo"
    came: float = 0.0
    ended: float = 0.0
    failed: float = 0.0


SORTS: dict[str, Measure] = {
    "pending": lambda flow: flow.queue.pending,
    "active": lambda flow: flow.queue.active,
    "dead": lambda flow: flow.queue.dead,
    "age of the oldest": lambda flow: flow.queue.oldest_pending_ms or 0,
    "jobs in": lambda flow: flow.came,
    "jobs out": lambda flow: flow.ended,
}
"""By what queues can be ordered, the largest first; queues that are equal, by name."""


@dataclass(slots=True)
class Figures:
    """The figures of the latest look, compared with the one before."""

    before: Look | None = None
    latest: Look | None = None
    _known: "dict[str, QueueInfo]" = field(default_factory=dict)

    def add(self, look: Look) -> None:
        """Take a new look into account."""
        self.before, self.latest = self.latest, look
        before = self.before.queues if self.before else ()
        self._known = {queue.name: queue for queue in before}

    def flows(self, sort: str) -> list[Flow]:
        """Return all queues in an order of `SORTS`."""
        if self.latest is None:
            return []
        measure = SORTS[sort]
        flows = [self._flow(queue) for queue in self.latest.queues]
        return sorted(flows, key=lambda flow: (-measure(flow), flow.queue.name))

    def total(self) -> Flow:
        """Return the flow of all queues together, under no queue's name."""
        flows = self.flows("pending")
        names = ("pending", "active", "scheduled", "retrying", "completed", "dead", "cancelled")
        sums = {name: sum(getattr(flow.queue, name) for flow in flows) for name in names}
        from corvo_client import QueueInfo  # noqa: PLC0415 - slow to load

        return Flow(
            QueueInfo(name="", **sums),
            sum(flow.came for flow in flows),
            sum(flow.ended for flow in flows),
            sum(flow.failed for flow in flows),
        )

    def _flow(self, queue: "QueueInfo") -> Flow:
        known = self._known.get(queue.name)
        if known is None or self.before is None or self.latest is None:
            return Flow(queue)
        seconds = max(self.latest.at - self.before.at, 0.001)
        # Ended jobs are counted while they are kept: those that were removed meanwhile are missed.
        ended = _ended(queue) - _ended(known)
        return Flow(
            queue,
            came=max(0, queue.enqueued - known.enqueued) / seconds,
            ended=max(0, ended) / seconds,
            failed=max(0, queue.failed - known.failed) / seconds,
        )


def _ended(queue: "QueueInfo") -> int:
    return queue.completed + queue.dead + queue.cancelled
