"""One run of a worker, from its start to the end of its shutdown."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from corvo_client._backoff import Backoff
from corvo_client.worker._api import HeartbeatSender, LeasedJob, ServerApi, Unreadable
from corvo_client.worker._fetcher import Fetcher, Lane
from corvo_client.worker._heartbeat import Heartbeat
from corvo_client.worker._leases import Interruption, Lease, LeaseTable
from corvo_client.worker._log import log as _log
from corvo_client.worker._middleware import Surroundings
from corvo_client.worker._outcomes import Outcome, Released
from corvo_client.worker._payload import InvalidJobPayload
from corvo_client.worker._reports import Reporter
from corvo_client.worker._results import Results
from corvo_client.worker._runner import AnyTask, Runner
from corvo_client.worker._slots import Capacity, Slots
from corvo_client.worker._to_outcome import outcome_of_error
from corvo_client.worker._watch import LoopWatch

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of a run. Durations are in seconds. Raises ValueError for a number below 1.

    A shutdown waits `grace` for handlers, then interrupts them and waits `interrupted`.
    """

    concurrency: int
    grace: float
    processes: int = 1
    interrupted: float = 2.0
    report_timeout: float = 3.0
    """Maximum time to report the last outcomes, in seconds."""

    def __post_init__(self) -> None:
        for name in ("concurrency", "processes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")


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
        self._capacity = Capacity(options.concurrency)
        self._lanes = self._make_lanes()
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
            lanes=list(self._lanes.values()),
            results=self._results,
            add_lease=self._add_lease,
            release=self._release,
            clock=clock,
        )
        self._is_stopping = asyncio.Event()

    @property
    def last_poll(self) -> float | None:
        """Time of the last answer to a fetch, in seconds of `clock`; None before the first."""
        return self._fetcher.last_poll

    @property
    def running(self) -> int:
        """Number of running handlers."""
        return self._capacity.taken

    def stop(self) -> None:
        """Start the shutdown. Any thread may call this, and more than once."""
        self._loop.call_soon_threadsafe(self._is_stopping.set)

    async def run(self) -> None:
        """Run until `stop` is called, then shut down in order.

        A cancellation works like `stop` without a grace period. If one of the loops fails because
        of a bug, its error is raised after the shutdown.
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
            elif fetcher.cancelled() or results.cancelled():
                raise RuntimeError("a handler has cancelled the tasks of its worker")
        finally:
            stop.cancel()
            await self._shut_down(fetcher, grace)
            await self._end(results)
        for part in (fetcher, results):
            if not part.cancelled():
                part.result()

    def _add_lease(self, job: LeasedJob) -> Lease:
        lease = Lease(job, self._clock(), self._heartbeat.poke)
        stale = self._leases.add(lease)
        if stale is not None:
            self._interrupt(stale, Interruption.LOST)
        return lease

    def _make_lanes(self) -> dict[bool, Lane]:
        """Return the lanes of the handlers in processes (True) and of all others (False).

        A job of the first that waits for a process would be active without running.
        """
        sizes = {False: self._options.concurrency, True: self._options.processes}
        lanes = {}
        for is_in_process, size in sizes.items():
            queues = [name for name in self._tasks if self._is_in_process(name) is is_in_process]
            if queues:
                slots = Slots(size, self._start, self._clock, self._capacity)
                lanes[is_in_process] = Lane(queues, slots)
        return lanes

    def _is_in_process(self, queue: str) -> bool:
        return self._tasks[queue].executor == "process"

    def _start(self, lease: Lease) -> None:
        try:
            _refuse_unreadable(lease.job)
            self._runner.start(self._tasks[lease.job.queue], lease)
        except Exception as error:  # noqa: BLE001 - e.g. no more threads
            # Not at once: the caller is about to start other jobs.
            self._loop.call_soon(self._finish, lease, outcome_of_error(error, lease))

    def _release(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            lease.is_running = False
            self._results.put(lease, Released())

    def _finish(self, lease: Lease, outcome: Outcome | None) -> None:
        self._lanes[self._is_in_process(lease.job.queue)].slots.free_slot()
        needs_report, lease.is_running = lease.is_running, False
        if outcome is None:
            self._leases.remove(lease)
        elif needs_report:
            self._results.put(lease, outcome)

    def _interrupt(self, lease: Lease, why: Interruption) -> None:
        """Interrupt a handler. The heartbeat thread calls this, too."""
        if lease.interrupt(why):
            if why is not Interruption.SHUTDOWN:
                _log.warning("interrupting job %s: %s", lease.job.job_id, why)
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(lease.cancel_task)

    async def _flush_notes(self) -> bool:
        return await asyncio.wrap_future(self._heartbeat.flush())

    async def _shut_down(self, fetcher: asyncio.Task[None], grace: float) -> None:
        """Stop fetching, wait for handlers, and release the jobs of handlers that do not end."""
        _log.info("stopping: no more fetches; running jobs: %d", self.running)
        await self._fetcher.stop(fetcher)
        if self.running and not await _within(grace, self._capacity.all_free()):
            _log.warning("stopping: interrupting %d jobs after %g s", self.running, grace)
            for lease in self._leases:
                self._interrupt(lease, Interruption.SHUTDOWN)
            await _within(self._options.interrupted, self._capacity.all_free())
        for lease in self._leases:
            if lease.is_running:
                _log.warning(
                    "stopping: releasing job %s, its handler does not end", lease.job.job_id
                )
                lease.is_running = False
                self._results.put(lease, Released())

    async def _end(self, results: asyncio.Task[None]) -> None:
        # A handler has cancelled it, or it has failed: other jobs have outcomes, too.
        again = _spawn(self._results.run()) if results.done() else results
        if not await _within(self._options.report_timeout, self._results.drained()):
            _log.warning("stopped with %d outcomes unreported", len(self._results))
        again.cancel()
        await asyncio.wait([again])
        self._heartbeat.stop()
        await _within(self._options.report_timeout, self._heartbeat.ended())
        self._runner.close()
        _log.info("stopped")


def _refuse_unreadable(job: LeasedJob) -> None:
    """Raise `InvalidJobPayload` if the codec cannot decode the job. It is retried with a backoff.

    A deploy may be under way that brings the key.
    """
    if isinstance(job.payload, Unreadable):
        raise InvalidJobPayload(job.payload.reason)


def _spawn(work: Coroutine[object, object, T]) -> asyncio.Task[T]:
    return asyncio.create_task(work)


async def _within(seconds: float, work: Coroutine[object, object, None]) -> bool:
    """Run `work` for up to `seconds`, then cancel it. Return whether it ended in time."""
    try:
        await asyncio.wait_for(work, seconds)
    except TimeoutError:
        return False
    return True
