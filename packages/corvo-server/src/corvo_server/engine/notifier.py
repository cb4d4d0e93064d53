"""Waiting fetches. This is the one place that wakes them.

A waiter submits its claim to the store whenever one of its queues may have a job for it. The
waiter that has waited longest goes first. No waiter polls.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import count, islice

from corvo_schema.states import JobState
from corvo_server.auth.caller import Caller, caller
from corvo_server.store.protocol import StoreError
from corvo_server.store.records import Commit, Enqueue, LeasedJob

_PENDING = JobState.PENDING

SubmitClaim = Callable[[], asyncio.Future[list[LeasedJob]]]
"""Submits the claim of a fetch to the store. The claim may return no jobs."""


class Notifier:
    """The waiting fetches of this process, by queue in order of arrival."""

    def __init__(self, give_back: Callable[[list[LeasedJob]], None]) -> None:
        """`give_back` releases jobs that were claimed for a caller that has gone away."""
        self.give_back = give_back
        self._waiters: defaultdict[str, dict[int, Waiter]] = defaultdict(dict)
        self._wakes: defaultdict[str, int] = defaultdict(int)
        """Number of wakes by queue, for the queues that have waiters."""
        self._openings: dict[str, int] = {}
        """The time at which a queue may start jobs again, for the queues that have waiters."""
        self._arrivals = count()
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """Number of waiting fetches."""
        return len({number for waiters in self._waiters.values() for number in waiters})

    def wait(self, queues: Sequence[str], submit: SubmitClaim) -> "Waiter":
        """Add a waiter for `queues` and submit its first claim. Await `Waiter.jobs` next."""
        waiter = Waiter(self, next(self._arrivals), tuple(dict.fromkeys(queues)), submit)
        for queue in waiter.queues:
            self._waiters[queue][waiter.number] = waiter
        waiter.claim()
        if self._is_closed:
            waiter.stop()
        return waiter

    def note_enqueue(self, request: Enqueue) -> None:
        """Wake fetches for jobs that are about to be stored: their claims join the same commit."""
        ready: defaultdict[str, int] = defaultdict(int)
        for job in request.jobs:
            if job.state is _PENDING:
                ready[job.queue] += 1
        for queue, jobs in ready.items():
            self.wake(queue, jobs)

    def note_commit(self, commit: Commit) -> None:
        """Wake fetches for the queues that have more jobs, or may start jobs again, since `commit`.

        It may be the commit of any verb and any node.
        """
        for queue, jobs in commit.ready.items():
            self.wake(queue, jobs)
        for queue in commit.opened:
            self.open(queue)
        for queue, at in commit.opens_at.items():
            self.open_at(queue, at)

    def wake(self, queue: str, jobs: int) -> None:
        """Let `jobs` idle waiters of `queue` submit their claims, the longest-waiting first.

        Call this when `queue` gets `jobs` new pending jobs.
        """
        waiters = self._waiters.get(queue)
        if waiters:
            self._wakes[queue] += 1
            idle = (waiter for waiter in waiters.values() if waiter.is_idle)
            for waiter in list(islice(idle, jobs)):
                waiter.claim(queue)

    def open(self, queue: str) -> None:
        """Let all idle waiters of `queue` submit their claims: it may start jobs again."""
        self.wake(queue, len(self._waiters.get(queue, ())))

    def open_at(self, queue: str, at: int) -> None:
        """Record that `queue` may start jobs again at `at` (ms since the epoch), not before."""
        if queue in self._waiters:  # a later fetch finds out by its own claim
            self._openings[queue] = at

    def next_opening(self) -> int | None:
        """Return the first time (ms since the epoch) recorded by `open_at`; None without one."""
        return min(self._openings.values(), default=None)

    def open_due(self, now: int) -> int:
        """Open the queues whose recorded time is `now` or earlier. Return their number."""
        due = [queue for queue, at in self._openings.items() if at <= now]
        for queue in due:
            del self._openings[queue]
            self.open(queue)
        return len(due)

    def stop_unless(self, is_valid: Callable[[Caller], bool]) -> None:
        """Stop the waiters whose caller is no longer valid, without a job."""
        for waiters in list(self._waiters.values()):
            for waiter in list(waiters.values()):
                if not is_valid(waiter.caller):
                    waiter.stop()

    def close(self) -> None:
        """Stop every waiter without a job, the present ones and all later ones."""
        self._is_closed = True
        for waiters in list(self._waiters.values()):
            for waiter in list(waiters.values()):
                waiter.stop()

    def remove(self, waiter: "Waiter") -> None:
        """Remove a waiter from all its queues."""
        for queue in waiter.queues:
            waiters = self._waiters.get(queue)
            if waiters is not None:
                waiters.pop(waiter.number, None)
                if not waiters:
                    del self._waiters[queue]
                    # A waiter compares counts only while it is in the dict, so none is missed.
                    self._wakes.pop(queue, None)
                    self._openings.pop(queue, None)

    def wake_count(self, queues: Sequence[str]) -> int:
        """Return a number that grows with every wake of `queues` while they have waiters."""
        return sum([self._wakes.get(queue, 0) for queue in queues])


class Waiter:
    """One waiting fetch."""

    def __init__(
        self, notifier: Notifier, number: int, queues: tuple[str, ...], submit: SubmitClaim
    ) -> None:
        self.number = number
        self.queues = queues
        self.caller = caller()
        """Who fetches."""
        self._notifier = notifier
        self._submit = submit
        self._is_claiming = False
        self._woken_by: str | None = None
        self._seen_wakes = 0
        self._is_stopping = False
        self._jobs: asyncio.Future[list[LeasedJob]] = asyncio.get_running_loop().create_future()

    @property
    def is_idle(self) -> bool:
        """Whether the waiter waits for a wake: it has no claim under way and has not ended."""
        return not self._is_claiming and not self._jobs.done()

    async def jobs(self, timeout: float) -> list[LeasedJob]:  # noqa: ASYNC109
        """Return the claimed jobs; an empty list after `timeout` seconds.

        If the caller is cancelled, jobs that were or will be claimed for it are given back.
        """
        timer = asyncio.get_running_loop().call_later(timeout, self.stop)
        try:
            return await self._jobs
        except asyncio.CancelledError:
            if not self._jobs.cancelled() and self._jobs.exception() is None:
                # The claim succeeded while the caller was being cancelled.
                self._notifier.give_back(self._jobs.result())
            raise
        finally:
            timer.cancel()
            self._notifier.remove(self)

    def claim(self, woken_by: str | None = None) -> None:
        """Submit the claim. If it returns no jobs, the waiter keeps its place.

        `woken_by` is the queue whose new job caused the wake; None for the first claim.
        """
        self._woken_by = woken_by
        self._seen_wakes = self._notifier.wake_count(self.queues)
        try:
            claimed = self._submit()
        except StoreError as error:
            self._jobs.set_exception(error)
            return
        self._is_claiming = True
        claimed.add_done_callback(self._claim_done)

    def stop(self) -> None:
        """End the wait without a job: at once, or after the claim that is under way."""
        self._is_stopping = True
        self._notifier.remove(self)
        if self.is_idle:
            self._jobs.set_result([])

    def _claim_done(self, claimed: asyncio.Future[list[LeasedJob]]) -> None:
        self._is_claiming = False
        error = claimed.exception()
        jobs = [] if error is not None else claimed.result()
        if self._jobs.done():  # the caller has gone away
            self._notifier.give_back(jobs)
        elif error is not None:
            self._jobs.set_exception(error)
        elif jobs or self._is_stopping:
            self._jobs.set_result(jobs)
        elif self._seen_wakes != self._notifier.wake_count(self.queues):
            self.claim()  # a queue got a job after the claim had looked at it
        self._wake_next(jobs)

    def _wake_next(self, jobs: list[LeasedJob]) -> None:
        """Wake the next waiter if this one claimed none of the jobs that it was woken for."""
        queue = self._woken_by
        if jobs and queue is not None and all(job.head.queue != queue for job in jobs):
            self._notifier.wake(queue, 1)
