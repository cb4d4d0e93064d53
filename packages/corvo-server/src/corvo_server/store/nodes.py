"""Records of the servers (nodes) of a store. Times are in ms since the epoch."""

import time

from msgspec import Struct

_BOOT_TIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def steady_clock() -> float:
    """Return monotonic seconds since an arbitrary start. On Linux, time asleep counts too."""
    return time.monotonic() if _BOOT_TIME is None else time.clock_gettime(_BOOT_TIME)


class NodeReport(Struct, frozen=True):
    """A node's heartbeat."""

    id: str
    version: str
    address: str | None
    started_at: int
    waiting_fetches: int = 0
    """Number of long polls that wait for jobs."""
    backlog: int = 0
    """Number of writes that wait for their commit."""
    operations: int = 0
    """Number of operations committed within the last second."""


class NodeRecord(Struct, frozen=True):
    """A node as of its last heartbeat."""

    report: NodeReport
    last_seen: int
    is_leader: bool


class Reading(Struct, frozen=True):
    """A reading of the clock of another machine, taken between `asked` and `answered`."""

    now: int
    """Time on that clock."""
    asked: float
    """Local `steady_clock` before the request, in seconds."""
    answered: float
    """Local `steady_clock` after the reply, in seconds."""

    @property
    def seconds(self) -> float:
        """Duration of the reading in seconds, which is also the uncertainty of `now`."""
        return self.answered - self.asked


class HeartbeatResult(Struct, frozen=True):
    """The reply to a heartbeat."""

    is_leader: bool
    """Whether the node holds the leader lease."""
    lease_ms: int | None = None
    """Length of the leader lease, counted from before the heartbeat was sent; None: no end."""
    clock: Reading | None = None
    """Reading of the clock that all nodes share; None if the node uses its own clock."""
    wall_offset: int = 0
    """Wall-clock time minus server time, in ms, as the store has it."""
    newest: int | None = None
    """Time of the newest event in the store (server time in ms); None without one.

    A store with one server reads it when it opens.
    """
