"""A server in memory that implements the two protocols of a worker, and its jobs."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from corvo_client.worker._api import Ack, LeasedJob, Refused, StorageFull, Undelivered
from corvo_client.worker._leases import Lease
from corvo_schema.attempts import FailItem, HeartbeatRequest, ReleaseItem
from corvo_schema.ids import new_job_id
from corvo_schema.outcomes import (
    AckResult,
    FailResult,
    HeartbeatJobReply,
    HeartbeatReply,
    ReleaseResult,
)

Item = Ack | FailItem | ReleaseItem


class FakeClock:
    """A clock that moves only by `forward`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


class FakeServer:
    """Returns `jobs` to fetches, records requests, and fails on demand."""

    def __init__(self) -> None:
        self.jobs: deque[LeasedJob] = deque()
        self.fetches: list[int] = []
        self.fetched_queues: list[tuple[str, ...]] = []
        self.fetch_error: Exception | None = None
        self.requests: list[Sequence[Item]] = []
        self.beats: list[HeartbeatRequest] = []
        self.answers: dict[str, HeartbeatJobReply] = {}
        self.is_down = False
        self.is_full = False
        self.refuses: Callable[[Any], bool] = lambda _item: False
        self.late_codes: dict[str, str] = {}
        self.is_closed = False
        self.defaults: list[tuple[Any, ...]] = []
        self.defaults_error: Exception | None = None
        self.has_signed_off = False
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()

    def add(self, *jobs: LeasedJob) -> None:
        self.jobs.extend(jobs)
        self._changed.set()

    async def seen(self, is_true: Callable[[], object]) -> None:
        """Wait until `is_true` returns a true value after an action of the worker."""
        async with asyncio.timeout(10):
            while not is_true():
                self._changed.clear()
                await self._changed.wait()

    async def fetch(self, queues: tuple[str, ...], count: int, *, wait: bool) -> list[LeasedJob]:
        """Return jobs of any of `queues`, like the server."""
        self.has_changed()
        self.fetches.append(count)
        self.fetched_queues.append(queues)
        if self.fetch_error is not None:
            raise self.fetch_error
        self._fail_when_down()
        while wait and not any(job.queue in queues for job in self.jobs):
            self._changed.clear()
            await self._changed.wait()
            self._fail_when_down()
        jobs = [job for job in self.jobs if job.queue in queues][:count]
        for job in jobs:
            self.jobs.remove(job)
        return jobs

    async def ack(self, items: Sequence[Ack]) -> list[AckResult]:
        self._take(items)
        return [AckResult(job_id=i.job_id, **self._status(i, "ok")) for i in items]

    async def fail(self, items: Sequence[FailItem]) -> list[FailResult]:
        self._take(items)
        return [FailResult(job_id=i.job_id, **self._status(i, "retrying")) for i in items]

    async def release(self, items: Sequence[ReleaseItem]) -> list[ReleaseResult]:
        self._take(items)
        return [ReleaseResult(job_id=i.job_id, **self._status(i, "released")) for i in items]

    def beat(self, request: HeartbeatRequest) -> HeartbeatReply:
        """Answer a heartbeat. The heartbeat thread calls this."""
        try:
            self._fail_when_down()
            if any(self.refuses(job) for job in request.jobs.values()):
                raise Refused("too large")
            if self.is_full and any(job.checkpoint for job in request.jobs.values()):
                raise StorageFull("the disk is too full")
            if request.stopped:
                self.has_signed_off = True
            else:
                self.beats.append(request)
        finally:
            self._loop.call_soon_threadsafe(self.has_changed)
        fine = HeartbeatJobReply(status="ok")
        return HeartbeatReply(jobs={id_: self.answers.get(id_, fine) for id_ in request.jobs})

    def close(self) -> None:
        self.is_closed = True
        self._loop.call_soon_threadsafe(self.has_changed)

    @property
    def acks(self) -> list[Ack]:
        return [i for items in self.requests for i in items if isinstance(i, Ack)]

    @property
    def fails(self) -> list[FailItem]:
        return [i for items in self.requests for i in items if isinstance(i, FailItem)]

    @property
    def releases(self) -> list[ReleaseItem]:
        return [i for items in self.requests for i in items if isinstance(i, ReleaseItem)]

    def _take(self, items: Sequence[Item]) -> None:
        self.has_changed()
        self._fail_when_down()
        if any(self.refuses(item) for item in items):
            raise Refused("too large")
        self.requests.append(items)

    def _status(self, item: Item, fine: str) -> dict[str, str]:
        code = self.late_codes.get(item.job_id)
        return {"status": fine} if code is None else {"status": "error", "code": code}

    def has_changed(self) -> None:
        self._changed.set()

    def _fail_when_down(self) -> None:
        if self.is_down:
            raise Undelivered("connection refused")


@pytest.fixture(autouse=True)
def _quick_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the wait for the last fetch: the server in memory answers at once."""
    monkeypatch.setattr("corvo_client.worker._fetcher._LAST_FETCH_GRACE", 0.02)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def server() -> FakeServer:
    return FakeServer()


MakeJob = Callable[..., LeasedJob]
MakeLease = Callable[..., Lease]


@pytest.fixture
def make_job() -> MakeJob:
    def make(payload: Any = None, **fields: Any) -> LeasedJob:
        known: dict[str, Any] = {
            "job_id": new_job_id(),
            "queue": "default",
            "payload": {} if payload is None else payload,
            "attempt": 1,
            "lease_duration": 30,
            "lease_token": "token",
        }
        return LeasedJob.model_validate(known | fields)

    return make


@pytest.fixture
def make_lease(make_job: MakeJob, clock: FakeClock) -> MakeLease:
    def make(payload: Any = None, **fields: Any) -> Lease:
        return Lease(make_job(payload, **fields), clock(), lambda: None)

    return make
