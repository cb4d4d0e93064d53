"""What a store knows of the servers that work on it. Times in ms since the epoch."""

import time

from msgspec import Struct

_BOOT_TIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def steady_clock() -> float:
    """Seconds that pass evenly; on Linux, also while the machine sleeps."""
    return time.monotonic() if _BOOT_TIME is None else time.clock_gettime(_BOOT_TIME)


class NodeReport(Struct, frozen=True):
    """What a node says of itself."""

    id: str
    version: str
    address: str | None
    started_at: int
    waiting_fetches: int = 0
    backlog: int = 0
    """Writes that wait for their commit."""
    operations: int = 0
    """Calls that it has committed within the last second."""


class NodeRecord(Struct, frozen=True):
    """A node, as of its last report."""

    report: NodeReport
    last_seen: int
    is_leader: bool


class Reading(Struct, frozen=True):
    """A look at a clock elsewhere: what it showed at some moment between these two."""

    now: int
    asked: float
    """By `steady_clock`, as `answered`."""
    answered: float

    @property
    def seconds(self) -> float:
        """How long it took, which is how exact it is."""
        return self.answered - self.asked


class HeartbeatResult(Struct, frozen=True):
    """What a node is told for its report."""

    is_leader: bool
    """Whether it may do now what one node at a time does."""
    lease_ms: int | None = None
    """For how long, counted from before the report was sent; None: for good."""
    clock: Reading | None = None
    """Of the clock by which all nodes go; None: each has its own."""
