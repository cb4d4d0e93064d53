"""What the servers (nodes) of a store report about workers. Times are in ms since the epoch."""

from msgspec import Struct


class WorkerReport(Struct, frozen=True):
    """What one node knows about one worker: its calls, or that it has stopped, or both."""

    id: str
    hostname: str | None = None
    lists: tuple[tuple[tuple[str, ...], int], ...] = ()
    """Lists of queues that the worker fetched from, each with the time of the last fetch."""
    first_seen: int | None = None
    last_fetch: int | None = None
    last_heartbeat: int | None = None
    stopped_until: int | None = None
    """Set if the worker signed off at this node. What other nodes saw until then is from before."""

    @property
    def last_call(self) -> int:
        """Time of the last call; 0 without one."""
        return max(self.last_fetch or 0, self.last_heartbeat or 0)

    @property
    def last_seen(self) -> int:
        """Time until which the report counts: the last call, or `stopped_until` if it is later."""
        return max(self.last_call, self.stopped_until or 0)
