"""How many jobs run at a time, and the few that wait for one of them to end."""

import asyncio
from collections import deque
from collections.abc import Callable

from corvo_client.worker._leases import Lease


class Slots:
    """Starts as many jobs as there are slots, and the others as slots come free, in order."""

    def __init__(self, size: int, start: Callable[[Lease], None]) -> None:
        self.size = size
        self.taken = 0
        self.finished = 0
        """How many jobs have ended since the start."""
        self._start = start
        self._waiting: deque[Lease] = deque()
        self._changed = asyncio.Event()

    @property
    def free(self) -> int:
        """How many more jobs would start at once."""
        return self.size - self.taken

    @property
    def waiting(self) -> int:
        """How many jobs are held and not started."""
        return len(self._waiting)

    def put(self, lease: Lease) -> None:
        """Start a job, now or when a slot comes free."""
        if self.free > 0:
            self.taken += 1
            self._start(lease)
        else:
            self._waiting.append(lease)

    def give_back(self) -> None:
        """Count a job that has ended; its slot goes to the next in line."""
        self.finished += 1
        if self._waiting:
            self._start(self._waiting.popleft())
        else:
            self.taken -= 1
        self._changed.set()

    def clear_waiting(self) -> list[Lease]:
        """Return the jobs that wait, which are not started then."""
        leases = list(self._waiting)
        self._waiting.clear()
        return leases

    async def next_end(self) -> None:
        """Wait until another job has ended."""
        self._changed.clear()
        await self._changed.wait()

    async def all_free(self) -> None:
        """Wait until nothing is running."""
        while self.taken:
            await self.next_end()
