"""Keeps the free slots of a worker filled."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from corvo_client.worker._backoff import Backoff
from corvo_client.worker._link import Link, LinkError
from corvo_client.worker._results import Results
from corvo_schema.worker import MAX_BATCH_OUTCOMES, FetchedJob

_log = logging.getLogger("corvo.worker")

_MOST_UNSENT = 2 * MAX_BATCH_OUTCOMES
_LAST_FETCH_GRACE = 0.5


class Slots:
    """How many jobs may run at a time, and how many do."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0
        self._changed = asyncio.Event()

    @property
    def free(self) -> int:
        """How many more jobs may be started."""
        return self.size - self.taken

    def take(self) -> None:
        """Count a job that starts."""
        self.taken += 1

    def give_back(self) -> None:
        """Count a job that has ended."""
        self.taken -= 1
        self._changed.set()

    async def some_free(self) -> None:
        """Wait until at least one slot is free."""
        while self.free <= 0:
            self._changed.clear()
            await self._changed.wait()

    async def all_free(self) -> None:
        """Wait until nothing is running."""
        while self.taken:
            self._changed.clear()
            await self._changed.wait()


class Fetcher:
    """Fetches as many jobs as there are free slots in one request, and hands them to `start`.

    A server that does not answer is asked again for ever, at growing intervals. Jobs that arrive
    after `stop` are handed to `give_back` instead.
    """

    def __init__(
        self,
        *,
        link: Link,
        slots: Slots,
        results: Results,
        start: Callable[[Sequence[FetchedJob]], None],
        give_back: Callable[[Sequence[FetchedJob]], None],
        backoff: Backoff,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = link
        self._slots = slots
        self._results = results
        self._start = start
        self._give_back = give_back
        self._backoff = backoff
        self._clock = clock
        self._request: asyncio.Task[list[FetchedJob]] | None = None
        self._stopping = asyncio.Event()
        self.last_poll: float | None = None
        """When the server last answered a fetch, on the clock of this object."""

    async def run(self) -> None:
        """Fetch until `stop` is called."""
        while not self._stopping.is_set():
            await self._slots.some_free()
            if len(self._results) > _MOST_UNSENT:
                # The server takes no outcomes at present: more work would only pile up more.
                await self._results.drained()
            self._request = asyncio.create_task(
                self._link.fetch(min(self._slots.free, MAX_BATCH_OUTCOMES))
            )
            try:
                jobs = await self._request
            except LinkError as error:
                await self._wait_to_retry(error)
                continue
            finally:
                self._request = None
            self._has_answer()
            (self._give_back if self._stopping.is_set() else self._start)(jobs)

    async def stop(self, run: asyncio.Task[None]) -> None:
        """End `run`, the task of this object's loop, without losing jobs that are on their way."""
        self._stopping.set()
        if self._request is not None:
            # Where there is work the answer is about to come. Where there is none, the server
            # notices that we hang up, and gives nothing to a connection that is gone.
            await asyncio.wait([run], timeout=_LAST_FETCH_GRACE)
        run.cancel()
        await asyncio.wait([run])

    def _has_answer(self) -> None:
        if self._backoff.failures:
            _log.info("the server answers again")
        self._backoff.reset()
        self.last_poll = self._clock()

    async def _wait_to_retry(self, error: LinkError) -> None:
        if self._backoff.failures == 0:
            _log.warning("cannot fetch jobs, trying on: %s", error)
        await asyncio.sleep(self._backoff.next())
