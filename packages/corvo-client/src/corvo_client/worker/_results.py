"""The outcomes that the server has not taken yet, and the loop that sends them until it has."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from corvo_client._backoff import Backoff
from corvo_client.worker._leases import Lease, LeaseTable
from corvo_client.worker._outcomes import Outcome
from corvo_client.worker._reports import Report
from corvo_schema.attempts import MAX_BATCH_OUTCOMES

_log = logging.getLogger("corvo.worker")


class Results:
    """A queue of outcomes and the loop that delivers them.

    While one round of requests is out the next outcomes gather, so that a busy worker sends few and
    full requests and an idle one sends at once. What is not delivered is tried again as long as its
    lease lives, then dropped: the server gives the job to somebody else. `deliver` takes a round of
    reports and returns those that did not get through.
    """

    def __init__(
        self,
        leases: LeaseTable,
        deliver: Callable[[Sequence[Report]], Awaitable[Sequence[Report]]],
        backoff: Backoff,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._leases = leases
        self._deliver = deliver
        self._backoff = backoff
        self._clock = clock
        self._waiting: list[Report] = []
        self._unsent = 0
        self._has_some = asyncio.Event()
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    def __len__(self) -> int:
        """How many outcomes the server has not taken yet."""
        return self._unsent

    def put(self, lease: Lease, outcome: Outcome) -> None:
        """Report this outcome soon. The lease is let go of once that is done."""
        self._waiting.append((lease, outcome))
        self._unsent += 1
        self._is_empty.clear()
        self._has_some.set()

    async def drained(self) -> None:
        """Wait until every outcome is delivered or dropped."""
        await self._is_empty.wait()

    async def run(self) -> None:
        """Send what there is, for ever; ends by being cancelled."""
        while True:
            await self._has_some.wait()
            reports = self._waiting[:MAX_BATCH_OUTCOMES]
            del self._waiting[:MAX_BATCH_OUTCOMES]
            undelivered = await self._deliver(reports)
            if undelivered:
                undelivered = self._still_alive(undelivered)
                self._waiting[:0] = undelivered
            self._unsent -= len(reports) - len(undelivered)
            if not self._waiting:
                self._has_some.clear()
            if not self._unsent:
                self._is_empty.set()
            if undelivered:
                await asyncio.sleep(self._backoff.next())
            else:
                self._backoff.reset()

    def _still_alive(self, reports: Sequence[Report]) -> list[Report]:
        now = self._clock()
        alive = []
        for lease, outcome in reports:
            if now < lease.ends_at:
                alive.append((lease, outcome))
                continue
            self._leases.remove(lease)
            _log.warning(
                "the outcome of job %s could not be delivered while its lease lived; "
                "the server hands the job out again",
                lease.job.job_id,
            )
        return alive
