"""Slots of a worker: the limit on its running jobs, and the prefetched jobs."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from corvo_client.worker._leases import Lease


class Slots:
    """Starts up to `size` jobs at a time. Other jobs wait, and start in order as slots free up."""

    def __init__(
        self,
        size: int,
        start: Callable[[Lease], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.size = size
        self.taken = 0
        self.finished = 0
        """Number of jobs that have finished so far."""
        self._start = start
        self._clock = clock
        self._waiting: deque[tuple[float, Lease]] = deque()
        self._busy = self._busy_since = 0.0
        self._max_waiting = 0
        self._changed = asyncio.Event()

    @property
    def free(self) -> int:
        """Number of free slots."""
        return self.size - self.taken

    @property
    def busy(self) -> float:
        """Total time during which at least one job was running, in seconds."""
        return self._busy + (self._clock() - self._busy_since if self.taken else 0.0)

    @property
    def waiting(self) -> int:
        """Number of prefetched jobs, which wait for a slot."""
        return len(self._waiting)

    def put(self, lease: Lease) -> None:
        """Start a job now, or as soon as a slot is free."""
        if self.taken < self.size:
            if not self.taken:
                self._busy_since = self._clock()
            self.taken += 1
            self._start(lease)
        else:
            self._waiting.append((self._clock(), lease))

    def free_slot(self) -> None:
        """Count a finished job, and give its slot to the next waiting job."""
        self.finished += 1
        if self._waiting:
            self._start(self._waiting.popleft()[1])
        else:
            self.taken -= 1
            if not self.taken:
                self._busy += self._clock() - self._busy_since
        if len(self._waiting) <= self._max_waiting:
            self._changed.set()

    def take_waiting(self, seconds: float = 0.0) -> list[Lease]:
        """Remove and return the jobs that have waited for `seconds` or longer; 0 means all."""
        since = self._clock() - seconds
        leases = []
        while self._waiting and (not seconds or self._waiting[0][0] <= since):
            leases.append(self._waiting.popleft()[1])
        return leases

    async def next_end(self, max_waiting: int = 0) -> None:
        """Wait until another job has finished and at most `max_waiting` jobs wait for a slot."""
        self._max_waiting = max_waiting
        self._changed.clear()
        await self._changed.wait()

    async def all_free(self) -> None:
        """Wait until no job is running."""
        while self.taken:
            await self.next_end()
