"""One life of a worker, from its first fetch to the end of its shutdown."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from corvo_client._backoff import Backoff
from corvo_client.worker._api import HeartbeatSender, HeldJob, ServerApi
from corvo_client.worker._fetcher import Fetcher
from corvo_client.worker._heartbeat import Heartbeat
from corvo_client.worker._leases import Interruption, Lease, LeaseTable
from corvo_client.worker._middleware import Surroundings
from corvo_client.worker._outcomes import Outcome, Released
from corvo_client.worker._reports import Reporter
from corvo_client.worker._results import Results
from corvo_client.worker._runner import AnyTask, Runner
from corvo_client.worker._slots import Slots
from corvo_client.worker._watch import LoopWatch

_log = logging.getLogger("corvo.worker")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of a run. Durations are in seconds.

    Handlers are interrupted after `grace`, and have `interrupted` to end then.
    """

    concurrency: int
    grace: float
    processes: int = 1
    interrupted: float = 2.0
    last_words: float = 3.0
    """How long to wait until the last outcomes have reached the server."""


class Run:
    """Connects the parts of a worker, and starts and stops them in order.

    Create it in a running event loop. The heartbeat thread uses and closes `heartbeat_sender`.
    """

    def __init__(
        self,
        *,
        tasks: Mapping[str, AnyTask],
        api: ServerApi,
        heartbeat_sender: HeartbeatSender,
        worker_id: str,
        options: RunOptions,
        surroundings: Surroundings | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tasks = tasks
        self._options = options
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._leases = LeaseTable()
        self._slots = Slots(options.concurrency, self._start, clock)
        self._runner = Runner(
            options.concurrency,
            self._loop,
            self._finish,
            surroundings=surroundings,
            processes=options.processes,
        )
        self._heartbeat = Heartbeat(
            leases=self._leases,
            heartbeat_sender=heartbeat_sender,
            worker_id=worker_id,
            on_interrupt=self._interrupt,
            watch=LoopWatch(self._loop),
            clock=clock,
        )
        reporter = Reporter(api, self._leases, self._flush_notes)
        self._results = Results(self._leases, reporter.deliver, Backoff(cap=5.0), clock)
        self._fetcher = Fetcher(
            api=api,
            slots=self._slots,
            results=self._results,
            hold=self._hold,
            give_back=self._give_back,
            backoff=Backoff(),
            clock=clock,
        )
        self._is_stopping = asyncio.Event()

    @property
    def last_poll(self) -> float | None:
        """When the server last answered a fetch, on the clock of this object."""
        return self._fetcher.last_poll

    @property
    def running(self) -> int:
        """How many handlers are running."""
        return self._slots.taken

    def stop(self) -> None:
        """Begin the shutdown. Safe to call from any thread, and more than once."""
        self._loop.call_soon_threadsafe(self._is_stopping.set)

    async def run(self) -> None:
        """Work until `stop` is called, then shut down in order.

        Being cancelled is like `stop` without a grace period. Raises what broke one of the parts,
        which is a bug; jobs are handed back then, too.
        """
        self._heartbeat.start()
        results = _spawn(self._results.run())
        fetcher = _spawn(self._fetcher.run())
        stop = _spawn(self._is_stopping.wait())
        grace = 0.0
        try:
            await asyncio.wait({results, fetcher, stop}, return_when=asyncio.FIRST_COMPLETED)
            if stop.done():
                grace = self._options.grace
        finally:
            stop.cancel()
            await self._shut_down(fetcher, grace)
            await self._end(results)
        for part in (fetcher, results):
            if not part.cancelled():
                part.result()

    def _hold(self, job: HeldJob) -> Lease:
        lease = Lease(job, self._clock(), self._heartbeat.poke)
        stale = self._leases.add(lease)
        if stale is not None:
            self._interrupt(stale, Interruption.LOST)
        return lease

    def _start(self, lease: Lease) -> None:
        self._runner.start(self._tasks[lease.job.queue], lease)

    def _give_back(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            lease.is_running = False
            self._results.put(lease, Released())

    def _finish(self, lease: Lease, outcome: Outcome | None) -> None:
        self._slots.give_back()
        was_awaited, lease.is_running = lease.is_running, False
        if outcome is None:
            self._leases.remove(lease)
        elif was_awaited:
            self._results.put(lease, outcome)

    def _interrupt(self, lease: Lease, why: Interruption) -> None:
        """Ask a handler to stop. Called by the heartbeat thread, too."""
        if lease.interrupt(why):
            if why is not Interruption.SHUTDOWN:
                _log.warning("job %s is interrupted: %s", lease.job.job_id, why)
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(lease.cancel_task)

    async def _flush_notes(self) -> bool:
        return await asyncio.wrap_future(self._heartbeat.flush())

    async def _shut_down(self, fetcher: asyncio.Task[None], grace: float) -> None:
        """Stop fetching, wait for handlers, hand back what is stuck, report the rest."""
        _log.info("stopping: no more fetches, %d jobs running", self.running)
        await self._fetcher.stop(fetcher)
        if self.running and not await _within(grace, self._slots.all_free()):
            _log.warning("stopping: interrupting %d jobs after %g s", self.running, grace)
            for lease in self._leases:
                self._interrupt(lease, Interruption.SHUTDOWN)
            await _within(self._options.interrupted, self._slots.all_free())
        for lease in self._leases:
            if lease.is_running:
                _log.warning("stopping: job %s is stuck and handed back", lease.job.job_id)
                lease.is_running = False
                self._results.put(lease, Released())

    async def _end(self, results: asyncio.Task[None]) -> None:
        if not results.done() and not await _within(
            self._options.last_words, self._results.drained()
        ):
            _log.warning("stopped with %d outcomes undelivered", len(self._results))
        results.cancel()
        await asyncio.wait([results])
        self._heartbeat.stop()
        await asyncio.to_thread(self._heartbeat.join, self._options.last_words)
        self._runner.close()
        _log.info("stopped")


def _spawn(work: Coroutine[object, object, T]) -> asyncio.Task[T]:
    return asyncio.create_task(work)


async def _within(seconds: float, work: Coroutine[object, object, None]) -> bool:
    """Tell whether `work` ended in time; it is cancelled when it did not."""
    try:
        await asyncio.wait_for(work, seconds)
    except TimeoutError:
        return False
    return True
