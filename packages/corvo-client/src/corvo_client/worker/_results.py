"""Queue of outcomes, and the loop that reports them to the server."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from corvo_client._backoff import Backoff
from corvo_client.worker._leases import Lease, LeaseTable
from corvo_client.worker._log import log as _log
from corvo_client.worker._outcomes import Outcome
from corvo_client.worker._reports import Report
from corvo_schema.attempts import MAX_BATCH_OUTCOMES


class Results:
    """A queue of outcomes and the loop that reports them.

    While a request is in flight, outcomes gather for the next one. So a busy worker sends few large
    requests, and an idle worker sends at once. Failed reports are retried until their lease ends,
    then dropped; the server gives the job to another worker. `deliver` sends reports and returns
    those to retry.
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
        """Return the number of outcomes that are not reported yet."""
        return self._unsent

    def put(self, lease: Lease, outcome: Outcome) -> None:
        """Add an outcome to the queue. Its lease is removed after the report."""
        self._waiting.append((lease, outcome))
        self._unsent += 1
        self._is_empty.clear()
        self._has_some.set()

    async def drained(self) -> None:
        """Wait until every outcome is reported or dropped."""
        await self._is_empty.wait()

    async def run(self) -> None:
        """Report outcomes until this task is cancelled."""
        while True:
            await self._has_some.wait()
            reports = self._waiting[:MAX_BATCH_OUTCOMES]
            del self._waiting[:MAX_BATCH_OUTCOMES]
            try:
                undelivered = await self._deliver(reports)
            except asyncio.CancelledError:  # another task may report them
                self._waiting[:0] = reports
                raise
            except Exception:  # noqa: BLE001 - after a bug, other outcomes must still be reported
                _log.exception("reporting outcomes failed with an unexpected error, retrying")
                undelivered = reports
            if undelivered:
                undelivered = self._with_valid_lease(undelivered)
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

    def _with_valid_lease(self, reports: Sequence[Report]) -> list[Report]:
        now = self._clock()
        valid = []
        for lease, outcome in reports:
            if now < lease.ends_at:
                valid.append((lease, outcome))
                continue
            self._leases.remove(lease)
            _log.warning(
                "the outcome of job %s could not be reported before its lease ended; "
                "the server will run the job again",
                lease.job.job_id,
            )
        return valid
