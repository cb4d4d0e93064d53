"""Slots of a worker: the limits on its running jobs, and the prefetched jobs."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from corvo_client.worker._leases import Lease


class Capacity:
    """The limit on all running jobs of a worker. Its `Slots` share it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0
        self.shares: list[Slots] = []
        self._all_free = asyncio.Event()

    @property
    def free(self) -> int:
        """Number of further jobs that may run."""
        return self.size - self.taken

    @property
    def waiting(self) -> int:
        """Number of prefetched jobs of all slots."""
        return sum(slots.waiting for slots in self.shares)

    def start_waiting(self) -> None:
        """Start the jobs that have waited longest, as far as there is room."""
        while self.free:
            able = [slots for slots in self.shares if slots.free and slots.waiting]
            if not able:
                break
            min(able, key=lambda slots: slots.waiting_since).start_next()
        for slots in self.shares:
            slots.notify()
        if not self.taken:
            self._all_free.set()

    async def all_free(self) -> None:
        """Wait until no job is running."""
        while self.taken:
            self._all_free.clear()
            await self._all_free.wait()


class Slots:
    """Starts up to `size` jobs at a time. Other jobs wait, and start in order as slots free up.

    A job also takes room of `capacity`, by default of one with the same size.
    """

    def __init__(
        self,
        size: int,
        start: Callable[[Lease], None],
        clock: Callable[[], float] = time.monotonic,
        capacity: Capacity | None = None,
    ) -> None:
        self.size = size
        self.taken = 0
        self.finished = 0
        """Number of jobs that have finished so far."""
        self._start = start
        self._clock = clock
        self._capacity = Capacity(size) if capacity is None else capacity
        self._capacity.shares.append(self)
        self._waiting: deque[tuple[float, Lease]] = deque()
        self._busy = self._busy_since = 0.0
        self._max_waiting = 0
        self._changed = asyncio.Event()

    @property
    def free(self) -> int:
        """Number of jobs that could start now."""
        return min(self.size - self.taken, self._capacity.free)

    @property
    def room(self) -> int:
        """Number of jobs to fetch for these slots, without a prefetch.

        If jobs of other slots wait for the capacity, one job may join them: it starts in its turn.
        Otherwise slots that prefetch would keep the others from every job.
        """
        if self.taken < self.size and self._capacity.waiting > self.waiting:
            return max(self.free, 1) - self.waiting
        return self.free - self.waiting

    @property
    def busy(self) -> float:
        """Total time during which at least one job was running, in seconds."""
        return self._busy + (self._clock() - self._busy_since if self.taken else 0.0)

    @property
    def waiting(self) -> int:
        """Number of prefetched jobs, which wait for a slot."""
        return len(self._waiting)

    @property
    def waiting_since(self) -> float:
        """Time since which the first job waits. Use it only if jobs are waiting."""
        return self._waiting[0][0]

    def put(self, lease: Lease) -> None:
        """Start a job now, or as soon as a slot is free."""
        if self.free:
            self._begin(lease)
        else:
            self._waiting.append((self._clock(), lease))

    def start_next(self) -> None:
        """Start the first waiting job. Use it only if a slot is free and a job is waiting."""
        self._begin(self._waiting.popleft()[1])

    def free_slot(self) -> None:
        """Count a finished job, and give its slot to the next waiting job."""
        self.finished += 1
        self.taken -= 1
        self._capacity.taken -= 1
        if not self.taken:
            self._busy += self._clock() - self._busy_since
        self._capacity.start_waiting()

    def take_waiting(self, seconds: float = 0.0) -> list[Lease]:
        """Remove and return the jobs that have waited for `seconds` or longer; 0 means all."""
        since = self._clock() - seconds
        leases = []
        while self._waiting and (not seconds or self._waiting[0][0] <= since):
            leases.append(self._waiting.popleft()[1])
        return leases

    def notify(self) -> None:
        """Wake `next_end` if few enough jobs are waiting."""
        if len(self._waiting) <= self._max_waiting:
            self._changed.set()

    async def next_end(self, max_waiting: int = 0) -> None:
        """Wait until another job has finished and at most `max_waiting` jobs wait for a slot."""
        self._max_waiting = max_waiting
        self._changed.clear()
        await self._changed.wait()

    def _begin(self, lease: Lease) -> None:
        if not self.taken:
            self._busy_since = self._clock()
        self.taken += 1
        self._capacity.taken += 1
        self._start(lease)
