"""Requests of a worker over HTTP."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic_core import to_json

from corvo_client._async.attempts import AsyncAttempts
from corvo_client._async.session import AsyncSession
from corvo_client._async.transport import AsyncTransport
from corvo_client._batch_endpoints import (
    ACKS,
    FAILS,
    RELEASES,
    read_acks,
    read_fails,
    read_releases,
)
from corvo_client._call import API, BatchEndpoint, Call
from corvo_client._codec import reader
from corvo_client._errors import CorvoError, PayloadTooLarge, Unavailable, ValidationFailed
from corvo_client._origin import Origin
from corvo_client._redirect import binder
from corvo_client._retry import NO_RETRIES
from corvo_client.worker._api import Ack, LeasedJob, Refused, StorageFull, Undelivered
from corvo_schema import ErrorCode, ReplyModel, RequestModel
from corvo_schema.attempts import FailItem, HeartbeatRequest, ReleaseItem
from corvo_schema.outcomes import AckResult, FailResult, HeartbeatReply, ReleaseResult

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class FetchTerms:
    """Parameters of all fetches of a worker. `timeout` and `lease_duration` are in seconds."""

    queues: Sequence[str]
    worker_id: str
    hostname: str
    timeout: float
    lease_duration: float


class LeasedJobs(ReplyModel):
    """Answer to a fetch."""

    jobs: list[LeasedJob]


class Acked(ReplyModel):
    """Number of successful acks. If all succeeded, the rest of the answer is not decoded."""

    acked: int


_read_jobs = reader(LeasedJobs)
_read_acked = reader(Acked)


class HttpServerApi:
    """A `ServerApi` over HTTP. It does not retry, because the loops of the worker do."""

    def __init__(self, transport: AsyncTransport, terms: FetchTerms) -> None:
        self._session = AsyncSession(transport, NO_RETRIES)
        self._terms = terms
        self._head = to_json(
            {
                "queues": terms.queues,
                "worker_id": terms.worker_id,
                "hostname": terms.hostname,
                "lease_duration": terms.lease_duration,
                "fenced": True,
            }
        )[:-1]

    async def fetch(self, count: int, *, wait: bool) -> list[LeasedJob]:
        """Return up to `count` jobs. If `wait` is true, the server waits for the first one."""
        timeout = self._terms.timeout if wait else 0.0
        body = b'%b,"count":%d,"timeout":%g}' % (self._head, count, timeout)
        call = Call("POST", f"{API}/fetch/batch", _read_jobs, body, waits=timeout)
        return (await _with_worker_errors(self._session.send(call))).jobs

    async def ack(self, items: Sequence[Ack]) -> list[AckResult]:
        """Report jobs as completed. The list is also empty if all acks succeeded."""

        def read(body: bytes) -> list[AckResult]:
            all_succeeded = _read_acked(body).acked == len(items)
            return [] if all_succeeded else read_acks(body).results

        body = to_json({ACKS.member: [_ack_members(item) for item in items]})
        return await self._post(ACKS, read, body)

    async def fail(self, items: Sequence[FailItem]) -> list[FailResult]:
        """Report attempts as failed."""
        return (await self._report(FAILS, read_fails, items)).results

    async def release(self, items: Sequence[ReleaseItem]) -> list[ReleaseResult]:
        """Release jobs."""
        return (await self._report(RELEASES, read_releases, items)).results

    async def _report(
        self,
        endpoint: BatchEndpoint[Any],
        read: Callable[[bytes], R],
        items: Sequence[RequestModel],
    ) -> R:
        # exclude_none drops unset fields of the models; a null inside a checkpoint stays.
        return await self._post(
            endpoint, read, to_json({endpoint.member: items}, exclude_none=True)
        )

    async def _post(
        self, endpoint: BatchEndpoint[Any], read: Callable[[bytes], R], body: bytes
    ) -> R:
        call = Call("POST", endpoint.path, read, body, repeatable=True)
        return await _with_worker_errors(self._session.send(call))


def _ack_members(ack: Ack) -> dict[str, Any]:
    written: dict[str, Any] = {"job_id": ack.job_id}
    if ack.lease_token is not None:
        written["lease_token"] = ack.lease_token
    if ack.result is not None:
        written["result"] = ack.result
    return written


class HttpHeartbeatSender:
    """A `HeartbeatSender` with its own event loop and connection. Use it in one thread."""

    def __init__(self, origin: Origin, timeout: float) -> None:
        self._timeout = timeout
        self._bind = binder()
        self._runner = asyncio.Runner()
        self._session = AsyncSession(AsyncTransport(origin), NO_RETRIES)
        self._calls = AsyncAttempts(self._session)

    def beat(self, request: HeartbeatRequest) -> HeartbeatReply:
        """Extend leases. Raises `RequestFailed`, also after the timeout of the whole request."""
        self._bind()
        return self._runner.run(_with_worker_errors(self._beat(request)))

    async def _beat(self, request: HeartbeatRequest) -> HeartbeatReply:
        async with asyncio.timeout(self._timeout):
            return await self._calls.heartbeat(request.jobs, worker_id=request.worker_id)

    def close(self) -> None:
        """Close the connection."""
        self._runner.run(self._session.close())
        self._runner.close()


async def _with_worker_errors(work: Awaitable[R]) -> R:
    try:
        return await work
    except (ValidationFailed, PayloadTooLarge) as error:
        raise Refused(str(error)) from error
    except Unavailable as error:
        kind = StorageFull if error.code == ErrorCode.STORAGE_FULL else Undelivered
        raise kind(str(error)) from error
    except (CorvoError, TimeoutError) as error:
        raise Undelivered(str(error) or "no answer within the timeout") from error
