"""The worker's requests over HTTP."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from corvo_client._async.session import AsyncSession
from corvo_client._async.worker import AsyncWorkerCalls
from corvo_client._errors import CorvoError, PayloadTooLarge, ValidationFailed
from corvo_client._retry import NO_RETRIES
from corvo_client._transport import AsyncTransport, Origin
from corvo_client.worker._link import Refused, Undelivered
from corvo_schema.outcomes import AckResult, FailResult, HeartbeatReply, ReleaseResult
from corvo_schema.worker import AckItem, FailItem, FetchedJob, HeartbeatRequest, ReleaseItem

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class FetchTerms:
    """What each fetch of a worker says. `timeout` and `lease_duration` are in seconds."""

    queues: Sequence[str]
    worker_id: str
    hostname: str
    timeout: float
    lease_duration: float


class HttpLink:
    """A `Link`. Failures are not waited out here: the worker's loops know better when to go on."""

    def __init__(self, transport: AsyncTransport, terms: FetchTerms) -> None:
        self._calls = AsyncWorkerCalls(AsyncSession(transport, NO_RETRIES))
        self._terms = terms

    async def fetch(self, count: int) -> list[FetchedJob]:
        """Return up to `count` jobs; waits as long as the terms say for the first."""
        terms = self._terms
        return await _translated(
            self._calls.fetch_batch(
                terms.queues,
                worker_id=terms.worker_id,
                count=count,
                hostname=terms.hostname,
                timeout=terms.timeout,
                lease_duration=terms.lease_duration,
            )
        )

    async def ack(self, items: Sequence[AckItem]) -> list[AckResult]:
        """Report jobs as done."""
        return (await _translated(self._calls.ack_batch(items))).results

    async def fail(self, items: Sequence[FailItem]) -> list[FailResult]:
        """Report attempts as failed."""
        return (await _translated(self._calls.fail_batch(items))).results

    async def release(self, items: Sequence[ReleaseItem]) -> list[ReleaseResult]:
        """Give jobs back."""
        return (await _translated(self._calls.release_batch(items))).results


class HttpPulse:
    """A `Pulse`, with an event loop and a connection of its own. For one thread."""

    def __init__(self, origin: Origin, timeout: float) -> None:
        self._timeout = timeout
        self._runner = asyncio.Runner()
        self._session = AsyncSession(AsyncTransport(origin), NO_RETRIES)
        self._calls = AsyncWorkerCalls(self._session)

    def beat(self, request: HeartbeatRequest) -> HeartbeatReply:
        """Extend leases, or raise `Undelivered` after the timeout, wherever the time has gone."""
        return self._runner.run(_translated(self._beat(request)))

    async def _beat(self, request: HeartbeatRequest) -> HeartbeatReply:
        async with asyncio.timeout(self._timeout):
            return await self._calls.heartbeat(request.jobs, worker_id=request.worker_id)

    def close(self) -> None:
        """Close the connection."""
        self._runner.run(self._session.close())
        self._runner.close()


async def _translated(work: Awaitable[R]) -> R:
    try:
        return await work
    except (ValidationFailed, PayloadTooLarge) as error:
        raise Refused(str(error)) from error
    except (CorvoError, TimeoutError) as error:
        raise Undelivered(str(error) or "no answer in time") from error
