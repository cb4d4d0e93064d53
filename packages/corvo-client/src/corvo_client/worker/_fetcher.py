"""Fetch loops of a worker."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from corvo_client._backoff import Backoff
from corvo_client.worker._api import LeasedJob, Refused, RequestFailed, ServerApi
from corvo_client.worker._leases import Lease
from corvo_client.worker._log import log as _log
from corvo_client.worker._pace import Pace, Prefetch
from corvo_client.worker._results import Results
from corvo_client.worker._slots import Slots
from corvo_schema.attempts import MAX_BATCH_OUTCOMES, MAX_FETCH_QUEUES

_MAX_UNSENT = 4 * MAX_BATCH_OUTCOMES
_LAST_FETCH_GRACE = 0.5
_MAX_WAIT = 2.0


class Lane(NamedTuple):
    """Queues whose jobs run in the same slots."""

    queues: Sequence[str]
    slots: Slots


class Fetcher:
    """Fetches jobs for the slots that are free or will soon be free.

    A fetch is for a group of queues: those of one lane, 256 at most. A single group waits in the
    server for as many jobs as there is room for. Several groups wait at the same time, for one job
    each; those that have more jobs are then fetched in turn, without waiting.

    If jobs are shorter than a fetch, it prefetches more (see `_pace`). `add_lease` returns the
    lease of a fetched job. `release` returns jobs to the server: jobs that have waited 2 s for a
    slot, and waiting jobs at `stop`. Failed fetches are retried without limit, with backoff. A
    fetch that is refused ends `run`, if the server has not answered one of that group before.
    """

    def __init__(
        self,
        *,
        api: ServerApi,
        lanes: Sequence[Lane],
        results: Results,
        add_lease: Callable[[LeasedJob], Lease],
        release: Callable[[Sequence[Lease]], None],
        make_backoff: Callable[[], Backoff] = Backoff,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._lanes = lanes
        self._results = results
        self._add_lease = add_lease
        self._release = release
        self._clock = clock
        self._groups = [
            _Group(queues, lane.slots, make_backoff())
            for lane in lanes
            for queues in _split(lane.queues)
        ]
        self._turn = asyncio.Lock()
        self._turns = 0
        self._fetching: set[asyncio.Task[None]] = set()
        """Fetches in flight."""
        self._timer: asyncio.TimerHandle | None = None
        self._stopping = asyncio.Event()
        self.last_poll: float | None = None
        """Time of the last answer to a fetch, in seconds of `clock`; None before the first."""

    async def run(self) -> None:
        """Fetch until `stop` is called. Raises the error of a call that ends the worker."""
        loops = [asyncio.create_task(self._serve(group)) for group in self._groups]
        try:
            await asyncio.wait(loops, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.wait(loops)
        for loop in loops:
            if not loop.cancelled():
                loop.result()

    async def stop(self, run: asyncio.Task[None]) -> None:
        """End `run`, the task of `run()`. Jobs of a fetch in flight are not lost."""
        self._stopping.set()
        for lane in self._lanes:
            self._release(lane.slots.take_waiting())
        if self._fetching:
            # If there are jobs, the answer arrives soon. If not, the server notices the closed
            # connection and leases no jobs to it.
            await asyncio.wait(self._fetching, timeout=_LAST_FETCH_GRACE)
        run.cancel()
        await asyncio.wait([run])
        if self._timer is not None:
            self._timer.cancel()

    async def _serve(self, group: "_Group") -> None:
        """Fetch the jobs of one group."""
        while not self._stopping.is_set():
            if group.pause:
                await asyncio.sleep(group.pause)
            await self._room(group)
            if len(self._groups) == 1:
                # A prefetch must not wait in the server: the slots may be taken when it is
                # answered.
                count, is_prefetch = group.room()
                await self._fetch(group, count, wait=not is_prefetch)
            elif group.has_more:
                await self._take_turn()
            else:
                # The other groups may take the room while this one waits. So it asks for one job.
                await self._fetch(group, 1, wait=True)

    async def _take_turn(self) -> None:
        """Fetch for the group with more jobs, and with room, whose last turn is the oldest."""
        async with self._turn:
            able = [group for group in self._groups if group.has_more and group.room()[0]]
            if able and not self._stopping.is_set():
                group = min(able, key=lambda group: group.last_turn)
                self._turns += 1
                group.last_turn = self._turns
                await self._fetch(group, group.room()[0], wait=False)

    async def _room(self, group: "_Group") -> None:
        """Wait for free slots or prefetch room."""
        if len(self._results) > _MAX_UNSENT:
            # The server accepts no outcomes at the moment: new jobs would only add more.
            await self._results.drained()
        while not group.room()[0]:
            await group.slots.next_end(group.limits().low)

    async def _fetch(self, group: "_Group", count: int, *, wait: bool) -> None:
        slots = group.slots
        group.pace.begin(self._clock(), slots.busy, slots.finished)
        # The request is a task, so that the handlers of the last fetch start before it is written.
        # The system call takes longer than it takes to start a handler.
        fetching = asyncio.create_task(self._take_jobs(group, count, wait=wait))
        self._fetching.add(fetching)
        fetching.add_done_callback(self._fetching.discard)
        await fetching

    async def _take_jobs(self, group: "_Group", count: int, *, wait: bool) -> None:
        try:
            jobs = await self._api.fetch(group.queues, count, wait=wait)
        except RequestFailed as error:
            if isinstance(error, Refused) and not group.was_answered:
                _log.error("the server refuses the fetches of this worker: %s", error)
                raise error.__cause__ or error from None
            self._note_failure(group, error)
            return
        self._note_answer(group, is_full=len(jobs) == count, wait=wait)
        leases = [self._add_lease(job) for job in jobs]
        if self._stopping.is_set():
            self._release(leases)
            return
        for lease in leases:
            group.slots.put(lease)
        self._watch_waiting()

    def _watch_waiting(self) -> None:
        """Schedule the release of jobs that wait too long for a slot."""
        if self._timer is None and any(lane.slots.waiting for lane in self._lanes):
            self._timer = asyncio.get_running_loop().call_later(_MAX_WAIT, self._release_overdue)

    def _release_overdue(self) -> None:
        self._timer = None
        for lane in self._lanes:
            self._release(lane.slots.take_waiting(_MAX_WAIT))
        self._watch_waiting()

    def _note_answer(self, group: "_Group", *, is_full: bool, wait: bool) -> None:
        now = self._clock()
        group.pause = 0.0
        group.has_more = is_full
        group.was_answered = True
        # The first of several groups' jobs may have been waited for: then the time says nothing.
        group.pace.end(now, is_full=is_full and not (wait and len(self._groups) > 1))
        self.last_poll = now
        if group.backoff.failures:
            _log.info("the server answers fetches again")
        group.backoff.reset()

    def _note_failure(self, group: "_Group", error: RequestFailed) -> None:
        if group.backoff.should_log:
            _log.warning("cannot fetch jobs, retrying: %s", error)
        group.has_more = False
        group.pause = group.backoff.next()


class _Group:
    """Queues that are fetched together, and what is known of their jobs."""

    def __init__(self, queues: tuple[str, ...], slots: Slots, backoff: Backoff) -> None:
        self.queues = queues
        self.slots = slots
        self.backoff = backoff
        self.pace = Pace()
        self.pause = 0.0
        """Seconds to wait before the next fetch, after a failure."""
        self.last_turn = 0
        self.was_answered = False
        self.has_more = False
        """The last answer had as many jobs as requested."""

    def limits(self) -> Prefetch:
        """Return the limits of its prefetch."""
        slots = self.slots
        return self.pace.prefetch(slots.busy, slots.finished, slots.size)

    def room(self) -> tuple[int, bool]:
        """Return how many jobs to fetch, 0 if none, and whether that is a prefetch."""
        limits = self.limits()
        if self.slots.waiting > limits.low:
            return 0, False
        room = self.slots.room + limits.high
        return max(0, min(room, MAX_BATCH_OUTCOMES)), limits.high > 0


def _split(queues: Sequence[str]) -> list[tuple[str, ...]]:
    """Return groups of almost equal size that one fetch can name each."""
    count = -(-len(queues) // MAX_FETCH_QUEUES)
    return [tuple(queues[start::count]) for start in range(count)]
