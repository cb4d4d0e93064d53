"""Keeps the slots of a worker filled."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from corvo_client._backoff import Backoff
from corvo_client.worker._api import HeldJob, RequestFailed, ServerApi
from corvo_client.worker._leases import Lease
from corvo_client.worker._pace import Pace
from corvo_client.worker._results import Results
from corvo_client.worker._slots import Slots
from corvo_schema.attempts import MAX_BATCH_OUTCOMES

_log = logging.getLogger("corvo.worker")

_MOST_UNSENT = 4 * MAX_BATCH_OUTCOMES
_LAST_FETCH_GRACE = 0.5
_PATIENCE = 2.0


class Fetcher:
    """Fetches in one request as many jobs as there are slots that are free or about to be.

    Where jobs are shorter than a fetch it holds some more, so that neither side waits for the other
    (see `_pace`). `hold` makes leases of jobs; `give_back` returns them to the server: those that
    have waited two seconds for a slot, and those that have none when it stops. A server that does
    not answer is asked again for ever, at growing intervals.
    """

    def __init__(
        self,
        *,
        api: ServerApi,
        slots: Slots,
        results: Results,
        hold: Callable[[HeldJob], Lease],
        give_back: Callable[[Sequence[Lease]], None],
        backoff: Backoff,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._slots = slots
        self._results = results
        self._hold = hold
        self._give_back = give_back
        self._backoff = backoff
        self._clock = clock
        self._pace = Pace()
        self._request: asyncio.Task[list[HeldJob]] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stopping = asyncio.Event()
        self.last_poll: float | None = None
        """When the server last answered a fetch, on the clock of this object."""

    async def run(self) -> None:
        """Fetch until `stop` is called."""
        while not self._stopping.is_set():
            count, is_early = await self._room()
            self._pace.begin(self._clock(), self._slots.busy, self._slots.finished)
            # What comes early must not be waited for: by the time it is there the slots may not be.
            # It is a task so that handlers of jobs that have just come begin before it is written:
            # the system call takes longer than the way of a job from the answer to its handler.
            self._request = asyncio.create_task(self._api.fetch(count, wait=not is_early))
            try:
                jobs = await self._request
            except RequestFailed as error:
                await self._wait_to_retry(error)
                continue
            finally:
                self._request = None
            self._has_answer(is_full=len(jobs) == count)
            leases = [self._hold(job) for job in jobs]
            if self._stopping.is_set():
                self._give_back(leases)
                continue
            for lease in leases:
                self._slots.put(lease)
            self._watch_waiting()

    async def stop(self, run: asyncio.Task[None]) -> None:
        """End `run`, the task of this object's loop, without losing jobs that are on their way."""
        self._stopping.set()
        self._give_back(self._slots.take_waiting())
        if self._request is not None:
            # Where there is work the answer is about to come. Where there is none, the server
            # notices that we hang up, and gives nothing to a connection that is gone.
            await asyncio.wait([run], timeout=_LAST_FETCH_GRACE)
        run.cancel()
        await asyncio.wait([run])
        if self._timer is not None:
            self._timer.cancel()

    async def _room(self) -> tuple[int, bool]:
        """Wait for room; return how many jobs to ask for, and whether slots are only expected."""
        if len(self._results) > _MOST_UNSENT:
            # The server takes no outcomes at present: more work would only pile up more.
            await self._results.drained()
        slots = self._slots
        while True:
            ahead = self._pace.ahead(slots.busy, slots.finished, slots.size)
            room = slots.free + ahead.high - slots.waiting
            if slots.waiting <= ahead.low and room > 0:
                return min(room, MAX_BATCH_OUTCOMES), ahead.high > 0
            await slots.next_end(ahead.low)

    def _watch_waiting(self) -> None:
        """See to it that no job waits for a slot for long."""
        if self._timer is None and self._slots.waiting:
            self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._give_back_overdue)

    def _give_back_overdue(self) -> None:
        self._timer = None
        self._give_back(self._slots.take_waiting(_PATIENCE))
        self._watch_waiting()

    def _has_answer(self, *, is_full: bool) -> None:
        now = self._clock()
        self._pace.end(now, is_full=is_full)
        self.last_poll = now
        if self._backoff.failures:
            _log.info("the server answers again")
        self._backoff.reset()

    async def _wait_to_retry(self, error: RequestFailed) -> None:
        if self._backoff.is_news:
            _log.warning("cannot fetch jobs, trying on: %s", error)
        await asyncio.sleep(self._backoff.next())
