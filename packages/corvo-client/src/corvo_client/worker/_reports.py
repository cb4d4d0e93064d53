"""Reports of outcomes: one request per kind of outcome."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Protocol, TypeVar

from corvo_client.worker._api import Ack, Refused, RequestFailed, ServerApi
from corvo_client.worker._description import text_of
from corvo_client.worker._leases import Lease, LeaseTable
from corvo_client.worker._log import log as _log
from corvo_client.worker._outcomes import Completed, Failed, Outcome, Released
from corvo_schema.attempts import FailItem, ReleaseItem

Report = tuple[Lease, Outcome]
_REJECTED = "the attempt failed, and the server rejected its error"

I = TypeVar("I")  # noqa: E741 - an item
K = TypeVar("K", Completed, Failed, Released)


class _Result(Protocol):
    """Common fields of the results of ack, fail and release."""

    @property
    def status(self) -> str: ...
    @property
    def code(self) -> str | None: ...
    @property
    def error(self) -> str | None: ...


class Reporter:
    """Sends reports to the server.

    `flush_notes` sends all progress and checkpoints in a heartbeat, and returns whether that
    succeeded. They are sent before the outcome of their job: afterwards the server takes none.
    """

    def __init__(
        self, api: ServerApi, leases: LeaseTable, flush_notes: Callable[[], Awaitable[bool]]
    ) -> None:
        self._api = api
        self._leases = leases
        self._flush_notes = flush_notes
        self._is_failing = False

    async def deliver(self, reports: Sequence[Report]) -> list[Report]:
        """Send reports, and return those that failed temporarily and must be sent again.

        A lease is removed when the server has answered its report, with success or an error.
        """
        done: list[tuple[Lease, Completed]] = []
        failed: list[tuple[Lease, Failed]] = []
        released: list[tuple[Lease, Released]] = []
        for lease, outcome in reports:
            match outcome:
                case Completed():
                    done.append((lease, outcome))
                case Failed():
                    failed.append((lease, outcome))
                case Released():
                    released.append((lease, outcome))
        sends: list[Awaitable[list[Report]]] = []
        noted = [report for report in done if report[0].has_notes]
        if noted:
            done = [report for report in done if not report[0].has_notes]
            sends.append(self._deliver_noted(noted, _ack_item, self._api.ack))
        if done:
            sends.append(self._deliver(done, _ack_item, self._api.ack))
        if failed:
            sends.append(self._deliver_failed(failed))
        if released:
            # The checkpoint is part of the release.
            has_progress = any(lease.unsent_progress is not None for lease, _ in released)
            deliver = self._deliver_noted if has_progress else self._deliver
            sends.append(deliver(released, _release_item, self._api.release))
        if len(sends) == 1:
            return await sends[0]
        return [report for rest in await asyncio.gather(*sends) for report in rest]

    async def _deliver_failed(self, reports: Sequence[tuple[Lease, Failed]]) -> list[Report]:
        # Checkpoints go first: the next attempt may start as soon as the failure is stored.
        is_needed = any(lease.unsent_checkpoint is not None for lease, _ in reports)
        if is_needed and not await self._flush_notes():
            return list(reports)
        return await self._deliver_noted(reports, _fail_item, self._api.fail)

    async def _deliver_noted(
        self,
        reports: Sequence[tuple[Lease, K]],
        make: Callable[[Lease, K], I],
        send: Callable[[Sequence[I]], Awaitable[Sequence[_Result]]],
    ) -> list[Report]:
        """Send the last notes, if there are any, and then the outcomes.

        The outcomes do not wait for notes that cannot be sent.
        """
        if any(lease.has_notes for lease, _ in reports):
            await self._flush_notes()
        return await self._deliver(reports, make, send)

    async def _deliver(
        self,
        reports: Sequence[tuple[Lease, K]],
        make: Callable[[Lease, K], I],
        send: Callable[[Sequence[I]], Awaitable[Sequence[_Result]]],
    ) -> list[Report]:
        try:
            results = await send([make(lease, outcome) for lease, outcome in reports])
        except Refused as error:
            return await self._deliver_apart(reports, make, send, error)
        except RequestFailed as error:
            if not self._is_failing:
                self._is_failing = True
                _log.warning("cannot report outcomes, retrying: %s", error)
            return list(reports)
        except Exception as error:  # noqa: BLE001 - see below
            # A bug must not end the loop that reports the outcomes of all jobs.
            _log.exception("reporting %d outcomes failed with an unexpected error", len(reports))
            return await self._deliver_apart(reports, make, send, error)
        self._is_failing = False
        for lease, _ in reports:
            self._leases.remove(lease)
        for (lease, _), result in zip(reports, results, strict=False):
            if result.status == "error":
                _log.warning(
                    "the server rejected the outcome of job %s (%s): %s",
                    lease.job.job_id,
                    result.code,
                    result.error,
                )
        return []

    async def _deliver_apart(
        self,
        reports: Sequence[tuple[Lease, K]],
        make: Callable[[Lease, K], I],
        send: Callable[[Sequence[I]], Awaitable[Sequence[_Result]]],
        error: Exception,
    ) -> list[Report]:
        """Split a rejected request: either one report is invalid, or the request is too large."""
        if len(reports) == 1:
            return self._replace(*reports[0], text_of(str(error)))
        half = len(reports) // 2
        first = await self._deliver(reports[:half], make, send)
        return first + await self._deliver(reports[half:], make, send)

    def _replace(self, lease: Lease, outcome: Outcome, error: str) -> list[Report]:
        """Return a report that the server accepts instead of one that it has rejected.

        Otherwise the job would stay active until its lease ends, and would not say why.
        """
        match outcome:
            case Completed():
                # A retry would do the work again, and the server would reject the result again.
                text, retry, cancel = f"the server rejected the result: {error}", False, False
            case Released():
                lease.clear_sent_notes(lease.unsent_checkpoint, lease.unsent_progress)
                lease.rejection = None  # the error says it already
                text, retry, cancel = f"the server rejected the release: {error}", True, False
            case Failed():
                text, retry, cancel = _REJECTED, outcome.retry, outcome.cancel
        _log.error("the server rejected the outcome of job %s: %s", lease.job.job_id, error)
        if isinstance(outcome, Failed) and outcome.error == _REJECTED:
            self._leases.remove(lease)
            return []
        return [(lease, Failed(text, retry=retry, cancel=cancel))]


def _ack_item(lease: Lease, outcome: Completed) -> Ack:
    job = lease.job
    return Ack(job.job_id, job.lease_token, outcome.result)


def _fail_item(lease: Lease, outcome: Failed) -> FailItem:
    error = outcome.error
    if lease.rejection is not None:
        error += f" (the server rejected a checkpoint: {lease.rejection})"
    return FailItem(
        job_id=lease.job.job_id,
        lease_token=lease.job.lease_token,
        error=error,
        backtrace=outcome.backtrace,
        retry=outcome.retry,
        cancel=outcome.cancel,
    )


def _release_item(lease: Lease, outcome: Released) -> ReleaseItem:
    """Return the item of a release. Raise `Refused` if a heartbeat lost its checkpoint.

    Else the job would begin again from an older checkpoint, and nobody would know why.
    """
    checkpoint = lease.unsent_checkpoint
    # Look after the checkpoint: a heartbeat that was rejected sets the reason, then clears that.
    if checkpoint is None and lease.rejection is not None:
        raise Refused(lease.rejection)
    # Round up to whole milliseconds, so that a short snooze does not become zero.
    ms = -int(-outcome.delay * 1000 // 1)
    return ReleaseItem.model_validate(
        {
            "job_id": lease.job.job_id,
            "lease_token": lease.job.lease_token,
            "delay": timedelta(milliseconds=ms) if ms else None,
            "checkpoint": checkpoint,
        }
    )
