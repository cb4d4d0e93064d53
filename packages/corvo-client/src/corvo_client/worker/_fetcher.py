"""Fetch loop of a worker."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from corvo_client._backoff import Backoff
from corvo_client.worker._api import LeasedJob, RequestFailed, ServerApi
from corvo_client.worker._leases import Lease
from corvo_client.worker._pace import Pace
from corvo_client.worker._results import Results
from corvo_client.worker._slots import Slots
from corvo_schema.attempts import MAX_BATCH_OUTCOMES

_log = logging.getLogger("corvo.worker")

_MAX_UNSENT = 4 * MAX_BATCH_OUTCOMES
_LAST_FETCH_GRACE = 0.5
_MAX_WAIT = 2.0


class Fetcher:
    """Fetches jobs for the slots that are free or will soon be free.

    If jobs are shorter than a fetch, it prefetches more (see `_pace`). `add_lease` returns the
    lease of a fetched job. `release` returns jobs to the server: jobs that have waited 2 s for a
    slot, and waiting jobs at `stop`. Failed fetches are retried without limit, with backoff.
    """

    def __init__(
        self,
        *,
        api: ServerApi,
        slots: Slots,
        results: Results,
        add_lease: Callable[[LeasedJob], Lease],
        release: Callable[[Sequence[Lease]], None],
        backoff: Backoff,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._slots = slots
        self._results = results
        self._add_lease = add_lease
        self._release = release
        self._backoff = backoff
        self._clock = clock
        self._pace = Pace()
        self._request: asyncio.Task[list[LeasedJob]] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stopping = asyncio.Event()
        self.last_poll: float | None = None
        """Time of the last answer to a fetch, in seconds of `clock`; None before the first."""

    async def run(self) -> None:
        """Fetch until `stop` is called."""
        while not self._stopping.is_set():
            count, is_prefetch = await self._room()
            self._pace.begin(self._clock(), self._slots.busy, self._slots.finished)
            # A prefetch must not wait in the server: the slots may be taken when it is answered.
            # The request is a task, so that the handlers of the last fetch start before it is
            # written. The system call takes longer than it takes to start a handler.
            self._request = asyncio.create_task(self._api.fetch(count, wait=not is_prefetch))
            try:
                jobs = await self._request
            except RequestFailed as error:
                await self._wait_to_retry(error)
                continue
            finally:
                self._request = None
            self._note_answer(is_full=len(jobs) == count)
            leases = [self._add_lease(job) for job in jobs]
            if self._stopping.is_set():
                self._release(leases)
                continue
            for lease in leases:
                self._slots.put(lease)
            self._watch_waiting()

    async def stop(self, run: asyncio.Task[None]) -> None:
        """End `run`, the task of `run()`. Jobs of a fetch in flight are not lost."""
        self._stopping.set()
        self._release(self._slots.take_waiting())
        if self._request is not None:
            # If there are jobs, the answer arrives soon. If not, the server notices the closed
            # connection and leases no jobs to it.
            await asyncio.wait([run], timeout=_LAST_FETCH_GRACE)
        run.cancel()
        await asyncio.wait([run])
        if self._timer is not None:
            self._timer.cancel()

    async def _room(self) -> tuple[int, bool]:
        """Wait for free slots or prefetch room. Return the count to fetch, and if it prefetches."""
        if len(self._results) > _MAX_UNSENT:
            # The server accepts no outcomes at the moment: new jobs would only add more.
            await self._results.drained()
        slots = self._slots
        while True:
            limits = self._pace.prefetch(slots.busy, slots.finished, slots.size)
            room = slots.free + limits.high - slots.waiting
            if slots.waiting <= limits.low and room > 0:
                return min(room, MAX_BATCH_OUTCOMES), limits.high > 0
            await slots.next_end(limits.low)

    def _watch_waiting(self) -> None:
        """Schedule the release of jobs that wait too long for a slot."""
        if self._timer is None and self._slots.waiting:
            self._timer = asyncio.get_running_loop().call_later(_MAX_WAIT, self._release_overdue)

    def _release_overdue(self) -> None:
        self._timer = None
        self._release(self._slots.take_waiting(_MAX_WAIT))
        self._watch_waiting()

    def _note_answer(self, *, is_full: bool) -> None:
        now = self._clock()
        self._pace.end(now, is_full=is_full)
        self.last_poll = now
        if self._backoff.failures:
            _log.info("the server answers fetches again")
        self._backoff.reset()

    async def _wait_to_retry(self, error: RequestFailed) -> None:
        if self._backoff.should_log:
            _log.warning("cannot fetch jobs, retrying: %s", error)
        await asyncio.sleep(self._backoff.next())
