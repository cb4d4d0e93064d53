"""The worker's calls: fetch, ack, fail, release, heartbeat."""

import asyncio
import logging
import random
import secrets
from collections.abc import Sequence
from functools import partial

from msgspec import Struct

from corvo_schema import FetchRequest
from corvo_server.engine import lifecycle
from corvo_server.engine.clock import Clock
from corvo_server.engine.notifier import Notifier
from corvo_server.engine.payloads import SizeLimits, check_size
from corvo_server.engine.verbs import Part, verb
from corvo_server.engine.workers import Workers
from corvo_server.store.protocol import Store, StoreError
from corvo_server.store.records import (
    Change,
    Claim,
    JobHead,
    LeasedJob,
    Outcome,
    Refusal,
    Transition,
)

log = logging.getLogger(__name__)

_LONGEST_ERROR = 16_384
_LONGEST_BACKTRACE = 65_536
_AHEAD = 50
_MOST_AHEAD = 500
"""Milliseconds before its time at which a fetch in vain is answered: by the second, and at most."""


class Ack(Struct, frozen=True):
    """One finished attempt. `result` is JSON text."""

    job_id: str
    token: str | None
    result: str | None


class Fail(Struct, frozen=True):
    """One failed attempt."""

    job_id: str
    token: str | None
    error: str
    backtrace: str | None
    may_retry: bool = True
    is_cancel: bool = False


class Release(Struct, frozen=True):
    """One attempt given back. `checkpoint` is JSON text, `delay` in ms."""

    job_id: str
    token: str | None
    delay: int
    checkpoint: str | None


class Heartbeat(Struct, frozen=True):
    """One job that is still being worked on. `progress` and `checkpoint` are JSON text."""

    job_id: str
    token: str | None
    progress: str | None
    checkpoint: str | None


class Attempts(Part):
    """Verbs of workers. Each takes many and answers for each; a refused one spoils no other.

    A document that is too large makes the whole request one that cannot be done: nothing is.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        notifier: Notifier,
        workers: Workers,
        *,
        default_lease_ms: int,
        limits: SizeLimits,
    ) -> None:
        self._store = store
        self._clock = clock
        self._notifier = notifier
        self._workers = workers
        self._default_lease_ms = default_lease_ms
        self._limits = limits
        self._returns: set[asyncio.Future[list[Outcome]]] = set()

    @verb
    async def fetch(self, request: FetchRequest, count: int) -> list[LeasedJob]:
        """Up to `count` jobs; waits for the first as long as the request says.

        When the caller is cancelled, its jobs are given back at once.
        """
        self._workers.note_fetch(request.worker_id, request.hostname, request.queues)
        waiter = self._notifier.wait(request.queues, partial(self._claim, request, count))
        return await waiter.jobs(_patience(request.timeout))

    @verb
    def ack(self, acks: Sequence[Ack], at: str = "") -> "asyncio.Future[list[Outcome]]":
        """Complete jobs. `at` is the path of an item in the request, like `acks[{}].`."""
        field = f"{at}result"
        for i, item in enumerate(acks):
            check_size(item.result, self._limits.result, field, i)
        now = self._clock()
        return self._store.transition(
            [
                Transition(
                    item.job_id,
                    partial(lifecycle.ack, token=item.token, result=item.result, now=now),
                )
                for item in acks
            ]
        )

    @verb
    def fail(self, failures: Sequence[Fail]) -> "asyncio.Future[list[Outcome]]":
        """Fail attempts."""
        now = self._clock()
        return self._store.transition(
            [
                Transition(item.job_id, partial(_fail, item=item, now=now, luck=random.random()))  # noqa: S311
                for item in failures
            ]
        )

    @verb
    def release(self, releases: Sequence[Release], at: str = "") -> "asyncio.Future[list[Outcome]]":
        """Give jobs back without counting the attempt. `at` is as in `ack`."""
        return self._release(releases, f"{at}checkpoint")

    def _release(self, releases: Sequence[Release], field: str) -> "asyncio.Future[list[Outcome]]":
        for i, item in enumerate(releases):
            check_size(item.checkpoint, self._limits.checkpoint, field, i)
        now = self._clock()
        return self._store.transition(
            [Transition(item.job_id, partial(_release, item=item, now=now)) for item in releases]
        )

    @verb
    async def heartbeat(
        self, beats: Sequence[Heartbeat], worker_id: str | None = None
    ) -> list[Outcome]:
        """Extend leases, keep progress and checkpoints.

        A worker that does not say who it is is the one that holds the jobs.
        """
        for item in beats:
            check_size(item.progress, self._limits.progress, "jobs.{}.progress", item.job_id)
            check_size(item.checkpoint, self._limits.checkpoint, "jobs.{}.checkpoint", item.job_id)
        if worker_id is not None:
            self._workers.note_heartbeat(worker_id)
        now = self._clock()
        outcomes = await self._store.transition(
            [Transition(item.job_id, partial(_heartbeat, item=item, now=now)) for item in beats]
        )
        if worker_id is None:
            for holder in _holders(outcomes):
                self._workers.note_heartbeat(holder)
        return outcomes

    def give_back(self, jobs: Sequence[LeasedJob]) -> None:
        """Return jobs whose worker went away before it got them. Does not wait.

        If the store will not take it now, the lease ends by itself.
        """
        if not jobs:
            return
        releases = [Release(job.head.id, job.head.lease_token, 0, None) for job in jobs]
        try:
            returned = self._release(releases, "checkpoint")
        except StoreError as error:
            log.warning(
                "%d jobs of a fetch that went away wait for their lease: %s", len(jobs), error
            )
            return
        self._returns.add(returned)
        returned.add_done_callback(self._given_back)

    def _given_back(self, returned: "asyncio.Future[list[Outcome]]") -> None:
        self._returns.discard(returned)
        if not returned.cancelled() and (error := returned.exception()) is not None:
            log.warning("jobs of a fetch that went away wait for their lease: %s", error)

    def _claim(self, request: FetchRequest, count: int) -> "asyncio.Future[list[LeasedJob]]":
        lease_ms = request.lease_duration or self._default_lease_ms
        # Random numbers are a system call each: one for all jobs of a fetch, told apart by seq.
        stem = secrets.token_hex(8)

        def start(job: JobHead, now: int) -> Change:
            return lifecycle.start(
                job,
                now,
                worker_id=request.worker_id,
                hostname=request.hostname,
                lease_ms=lease_ms,
                token=f"{stem}{job.seq}",
            )

        return self._store.fetch(Claim(request.queues, count, self._clock, start))


def _patience(timeout: int) -> float:
    """How many seconds to wait for a job, of the ms asked for: slightly less.

    Clients exist that wait for the answer just as long. They would hang up on it, or on a job.
    """
    return (timeout - min(timeout // 1000 * _AHEAD, _MOST_AHEAD)) / 1000


def _holders(outcomes: Sequence[Outcome]) -> set[str]:
    held = (outcome.job.worker_id for outcome in outcomes if not isinstance(outcome, Refusal))
    return {worker_id for worker_id in held if worker_id is not None}


def _fail(job: JobHead, *, item: Fail, now: int, luck: float) -> Outcome:
    return lifecycle.fail(
        job,
        item.token,
        _cut(item.error, _LONGEST_ERROR),
        None if item.backtrace is None else _cut(item.backtrace, _LONGEST_BACKTRACE),
        now,
        may_retry=item.may_retry,
        is_cancel=item.is_cancel,
        luck=luck,
    )


def _release(job: JobHead, *, item: Release, now: int) -> Outcome:
    return lifecycle.release(job, item.token, item.delay, item.checkpoint, now)


def _heartbeat(job: JobHead, *, item: Heartbeat, now: int) -> Outcome:
    return lifecycle.heartbeat(job, item.token, item.progress, item.checkpoint, now)


def _cut(text: str, longest: int) -> str:
    """A report that is too long loses its middle; a worker must always be able to fail its job."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
