"""How many jobs run at a time, and those that wait for one of them to end."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from corvo_client.worker._leases import Lease


class Slots:
    """Starts as many jobs as there are slots, and the others as slots come free, in order."""

    def __init__(
        self,
        size: int,
        start: Callable[[Lease], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.size = size
        self.taken = 0
        self.finished = 0
        """How many jobs have ended since the start."""
        self._start = start
        self._clock = clock
        self._waiting: deque[tuple[float, Lease]] = deque()
        self._busy = self._busy_since = 0.0
        self._few = 0
        self._changed = asyncio.Event()

    @property
    def free(self) -> int:
        """How many more jobs would start at once."""
        return self.size - self.taken

    @property
    def busy(self) -> float:
        """For how many seconds, since the start, jobs have been running."""
        return self._busy + (self._clock() - self._busy_since if self.taken else 0.0)

    @property
    def waiting(self) -> int:
        """How many jobs are held and not started."""
        return len(self._waiting)

    def put(self, lease: Lease) -> None:
        """Start a job, now or when a slot comes free."""
        if self.taken < self.size:
            if not self.taken:
                self._busy_since = self._clock()
            self.taken += 1
            self._start(lease)
        else:
            self._waiting.append((self._clock(), lease))

    def give_back(self) -> None:
        """Count a job that has ended; its slot goes to the next in line."""
        self.finished += 1
        if self._waiting:
            self._start(self._waiting.popleft()[1])
        else:
            self.taken -= 1
            if not self.taken:
                self._busy += self._clock() - self._busy_since
        if len(self._waiting) <= self._few:
            self._changed.set()

    def take_waiting(self, seconds: float = 0.0) -> list[Lease]:
        """Return the jobs that have waited for so long, or all, which are not started then."""
        since = self._clock() - seconds
        leases = []
        while self._waiting and (not seconds or self._waiting[0][0] <= since):
            leases.append(self._waiting.popleft()[1])
        return leases

    async def next_end(self, few: int = 0) -> None:
        """Wait until another job has ended and no more than a few wait for a slot."""
        self._few = few
        self._changed.clear()
        await self._changed.wait()

    async def all_free(self) -> None:
        """Wait until nothing is running."""
        while self.taken:
            await self.next_end()
