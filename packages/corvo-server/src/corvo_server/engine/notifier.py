"""Waiting fetches: who is woken when a queue has jobs.

A waiter tries (submits its claim to the store) whenever one of its queues may have something for
it; the one that has waited longest tries first. Nothing polls.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import count, islice

from corvo_server.store.protocol import StoreError
from corvo_server.store.records import LeasedJob

Attempt = Callable[[], asyncio.Future[list[LeasedJob]]]


class Notifier:
    """The waiting fetches of this process, by queue in the order of their arrival."""

    def __init__(self, give_back: Callable[[list[LeasedJob]], None]) -> None:
        """`give_back` takes jobs that were claimed for somebody who is gone."""
        self.give_back = give_back
        self._lines: defaultdict[str, dict[int, Waiter]] = defaultdict(dict)
        self._wakes: defaultdict[str, int] = defaultdict(int)
        self._openings: dict[str, int] = {}
        self._arrivals = count()
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """How many fetches wait."""
        return len({number for line in self._lines.values() for number in line})

    def wait(self, queues: Sequence[str], attempt: Attempt) -> "Waiter":
        """Join the lines of `queues` and try at once. The wait ends in `Waiter.jobs`."""
        waiter = Waiter(self, next(self._arrivals), tuple(dict.fromkeys(queues)), attempt)
        for queue in waiter.queues:
            self._lines[queue][waiter.number] = waiter
        waiter.attempt()
        if self._is_closed:
            waiter.send_home()
        return waiter

    def wake(self, queue: str, jobs: int) -> None:
        """`queue` got `jobs` pending jobs: as many idle waiters try, the longest-waiting first."""
        self._wakes[queue] += 1
        line = self._lines.get(queue)
        if line:
            idle = (waiter for waiter in line.values() if waiter.is_idle)
            for waiter in list(islice(idle, jobs)):
                waiter.attempt(queue)

    def open(self, queue: str) -> None:
        """`queue` may serve again: all who wait for it try."""
        self.wake(queue, len(self._lines.get(queue, ())))

    def open_at(self, queue: str, at: int) -> None:
        """`queue` may serve again at that moment (ms), not before."""
        self._openings[queue] = at

    def next_opening(self) -> int | None:
        """The first moment at which a queue may serve again."""
        return min(self._openings.values(), default=None)

    def open_due(self, now: int) -> int:
        """Open the queues whose moment has come; how many."""
        due = [queue for queue, at in self._openings.items() if at <= now]
        for queue in due:
            del self._openings[queue]
            self.open(queue)
        return len(due)

    def close(self) -> None:
        """Send every waiting fetch home without a job, now and from now on."""
        self._is_closed = True
        for line in list(self._lines.values()):
            for waiter in list(line.values()):
                waiter.send_home()

    def leave(self, waiter: "Waiter") -> None:
        """Take a waiter out of its lines."""
        for queue in waiter.queues:
            line = self._lines.get(queue)
            if line is not None:
                line.pop(waiter.number, None)
                if not line:
                    del self._lines[queue]

    def wakes(self, queues: Sequence[str]) -> int:
        """A number that grows with every wake of any of `queues`."""
        return sum(self._wakes[queue] for queue in queues)


class Waiter:
    """One waiting fetch."""

    def __init__(
        self, notifier: Notifier, number: int, queues: tuple[str, ...], attempt: Attempt
    ) -> None:
        self.number = number
        self.queues = queues
        self._notifier = notifier
        self._submit = attempt
        self._is_trying = False
        self._woken_by: str | None = None
        self._seen_wakes = 0
        self._is_leaving = False
        self._jobs: asyncio.Future[list[LeasedJob]] = asyncio.get_running_loop().create_future()

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a wake: it neither tries, nor has it been served or gone away."""
        return not self._is_trying and not self._jobs.done()

    async def jobs(self, timeout: float) -> list[LeasedJob]:  # noqa: ASYNC109
        """The jobs, once there are any; none after `timeout` seconds.

        When the caller is cancelled, what was or will be claimed for it is given back.
        """
        timer = asyncio.get_running_loop().call_later(timeout, self.send_home)
        try:
            return await self._jobs
        except asyncio.CancelledError:
            if not self._jobs.cancelled() and self._jobs.exception() is None:
                # It was served in the very moment of leaving.
                self._notifier.give_back(self._jobs.result())
            raise
        finally:
            timer.cancel()
            self._notifier.leave(self)

    def attempt(self, woken_by: str | None = None) -> None:
        """Submit the claim. Jobs end the wait; nothing leaves the waiter in its place.

        `woken_by` is the queue that has a job for whoever tries.
        """
        self._woken_by = woken_by
        self._seen_wakes = self._notifier.wakes(self.queues)
        try:
            claimed = self._submit()
        except StoreError as error:
            self._jobs.set_exception(error)
            return
        self._is_trying = True
        claimed.add_done_callback(self._attempted)

    def send_home(self) -> None:
        """End the wait: at once, or with the attempt that is under way."""
        self._is_leaving = True
        self._notifier.leave(self)
        if self.is_idle:
            self._jobs.set_result([])

    def _attempted(self, claimed: asyncio.Future[list[LeasedJob]]) -> None:
        self._is_trying = False
        error = claimed.exception()
        jobs = [] if error is not None else claimed.result()
        if self._jobs.done():  # the one who waited is gone
            self._notifier.give_back(jobs)
        elif error is not None:
            self._jobs.set_exception(error)
        elif jobs or self._is_leaving:
            self._jobs.set_result(jobs)
        elif self._seen_wakes != self._notifier.wakes(self.queues):
            self.attempt()  # its queue got something between the look and now
        self._pass_on(jobs)

    def _pass_on(self, jobs: list[LeasedJob]) -> None:
        """Wake the next one if what was claimed is not what this one was woken for."""
        queue = self._woken_by
        if jobs and queue is not None and all(job.head.queue != queue for job in jobs):
            self._notifier.wake(queue, 1)
