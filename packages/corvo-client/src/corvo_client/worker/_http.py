"""Requests of a worker over HTTP."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic_core import to_json

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
from corvo_client._calls.attempts import heartbeat
from corvo_client._codec import reader
from corvo_client._errors import (
    BadReply,
    CannotDecode,
    CorvoError,
    Forbidden,
    NotFound,
    PayloadTooLarge,
    Unauthorized,
    Unavailable,
    ValidationFailed,
)
from corvo_client._origin import Origin
from corvo_client._redirect import binder
from corvo_client._retry import NO_RETRIES
from corvo_client.worker._api import (
    Ack,
    LeasedJob,
    Refused,
    StorageFull,
    Undelivered,
    Unreadable,
)
from corvo_schema import ErrorCode, ReplyModel, RequestModel
from corvo_schema.attempts import FailItem, HeartbeatRequest, ReleaseItem
from corvo_schema.outcomes import AckResult, FailResult, HeartbeatReply, ReleaseResult

R = TypeVar("R")

# Half of what a server accepts by default. A larger upload also delays all other reports.
_MAX_BATCH_BYTES = 4 * 1024 * 1024
_MAX_POLL_TIMEOUT = 60.0
_MAX_LEASE_DURATION = 86_400.0
# Reports are sent again after these errors: an outcome must not be lost to a wrong key.
_FINAL_FOR_FETCHES = (Unauthorized, Forbidden, NotFound, BadReply)


@dataclass(frozen=True, slots=True)
class FetchTerms:
    """Parameters of all fetches of a worker. `timeout` and `lease_duration` are in seconds.

    Raises ValueError, with the names of the worker's arguments.
    """

    worker_id: str
    hostname: str
    timeout: float
    lease_duration: float

    def __post_init__(self) -> None:
        if not 0 < self.timeout <= _MAX_POLL_TIMEOUT:
            raise ValueError(f"poll_timeout must be above 0 and at most 60 s, not {self.timeout}")
        if not 1 <= self.lease_duration <= _MAX_LEASE_DURATION:
            raise ValueError(f"lease_duration must be from 1 to 86400 s, not {self.lease_duration}")


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
        self._heads: dict[tuple[str, ...], bytes] = {}

    async def fetch(self, queues: tuple[str, ...], count: int, *, wait: bool) -> list[LeasedJob]:
        """Return up to `count` jobs. If `wait` is true, the server waits for the first one.

        Raises `Refused` if the same fetch cannot succeed later.
        """
        timeout = self._terms.timeout if wait else 0.0
        body = b'%b,"count":%d,"timeout":%g}' % (self._head(queues), count, timeout)
        call = Call("POST", f"{API}/fetch/batch", _read_jobs, body, waits=timeout)
        try:
            return self._opened((await _with_worker_errors(self._session.send(call))).jobs)
        except Undelivered as error:
            if isinstance(error.__cause__, _FINAL_FOR_FETCHES):
                raise Refused(str(error)) from error.__cause__
            raise

    def _opened(self, jobs: list[LeasedJob]) -> list[LeasedJob]:
        if (sealing := self._session.sealing) is not None:
            for job in jobs:
                try:
                    sealing.open_job(job)
                except CannotDecode as error:
                    # The attempt fails when the job starts: other jobs must not fail with it.
                    job.payload = Unreadable(str(error))
        return jobs

    def _head(self, queues: tuple[str, ...]) -> bytes:
        """Return the start of the body, which is the same in all fetches of these queues."""
        head = self._heads.get(queues)
        if head is None:
            members = {
                "queues": queues,
                "worker_id": self._terms.worker_id,
                "hostname": self._terms.hostname,
                "lease_duration": self._terms.lease_duration,
                "fenced": True,
            }
            head = self._heads[queues] = to_json(members)[:-1]
        return head

    async def ack(self, items: Sequence[Ack]) -> list[AckResult]:
        """Report jobs as completed. The list is also empty if all acks succeeded."""

        def read(body: bytes) -> list[AckResult]:
            all_succeeded = _read_acked(body).acked == len(items)
            return [] if all_succeeded else read_acks(body).results

        body = to_json({ACKS.member: [_ack_members(item) for item in items]})
        return await self._post(ACKS, read, body, len(items))

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
        body = to_json({endpoint.member: items}, exclude_none=True)
        return await self._post(endpoint, read, body, len(items))

    async def _post(
        self, endpoint: BatchEndpoint[Any], read: Callable[[bytes], R], body: bytes, count: int
    ) -> R:
        _refuse_large(len(body), count)
        call = Call("POST", endpoint.path, read, body, repeatable=True)
        return await _with_worker_errors(self._session.send(call))


def _refuse_large(size: int, count: int) -> None:
    """Raise `Refused` for a request that its sender should split, before it is sent."""
    if size > _MAX_BATCH_BYTES and count > 1:
        raise Refused(f"the request has {size} bytes")


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

    def beat(self, request: HeartbeatRequest) -> HeartbeatReply:
        """Extend leases. Raises `RequestFailed`, also after the timeout of the whole request."""
        self._bind()
        checkpoints = [job.checkpoint for job in request.jobs.values()]
        size = sum(len(to_json(each)) for each in checkpoints if each is not None)
        _refuse_large(size, len(request.jobs))
        return self._runner.run(_with_worker_errors(self._beat(request)))

    async def _beat(self, request: HeartbeatRequest) -> HeartbeatReply:
        async with asyncio.timeout(self._timeout):
            call = heartbeat(request.jobs, request.worker_id, stopped=request.stopped)
            return await self._session.send(call)

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
