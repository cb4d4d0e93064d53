"""Verbs of workers: fetch, ack, fail, release, heartbeat."""

import asyncio
import logging
import random
import secrets
from collections.abc import Sequence
from functools import partial
from sys import getsizeof
from typing import TypeAlias

from msgspec import Struct

from corvo_schema import FetchRequest
from corvo_schema.errors import ErrorCode
from corvo_server.engine import lifecycle
from corvo_server.engine.access import check_queues, if_seen, is_open
from corvo_server.engine.clock import Clock
from corvo_server.engine.errors import CallError
from corvo_server.engine.notifier import Notifier
from corvo_server.engine.payloads import SizeLimits, check_document
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
from corvo_server.store.sizes import memory_of

log = logging.getLogger(__name__)

_LONGEST_ERROR = 16_384
_LONGEST_BACKTRACE = 65_536
_EARLY_MS_PER_SECOND = 50
"""An empty fetch is answered this many ms before its timeout, per second of the timeout."""
_MAX_EARLY_MS = 500
"""Maximum number of ms by which an empty fetch is answered before its timeout."""


Lease: TypeAlias = tuple[str, str | None]
"""A job's id and the token of its lease."""


class Ack(Struct, frozen=True):
    """One completed attempt. `result` is JSON text."""

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
    """One attempt to give back. `checkpoint` is JSON text; `delay` is in ms."""

    job_id: str
    token: str | None
    delay: int
    checkpoint: str | None


class Heartbeat(Struct, frozen=True):
    """Heartbeat of one job. `progress` and `checkpoint` are JSON text."""

    job_id: str
    token: str | None
    progress: str | None
    checkpoint: str | None


class Attempts(Part):
    """Verbs of workers. Each takes several items; a refused item does not affect the others.

    A document over its size limit fails the whole call with `CallError`: no item takes effect.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        notifier: Notifier,
        workers: Workers,
        *,
        default_lease_ms: int,
        max_fetch_bytes: int,
        require_lease_tokens: bool,
        limits: SizeLimits,
    ) -> None:
        self._store = store
        self._clock = clock
        self._notifier = notifier
        self._workers = workers
        self._default_lease_ms = default_lease_ms
        self._max_fetch_bytes = max_fetch_bytes
        self._require_lease_tokens = require_lease_tokens
        self._limits = limits
        self._returns: set[asyncio.Future[list[Outcome]]] = set()

    @verb
    async def fetch(self, request: FetchRequest, count: int) -> list[LeasedJob]:
        """Return up to `count` jobs. Wait for the first, at most for the request's timeout.

        There are fewer jobs if their documents would be too large together.

        If the caller is cancelled, its jobs are released at once.
        """
        if not all(map(is_open, request.queues)):
            check_queues({f"queues[{i}]": queue for i, queue in enumerate(request.queues)})
        self._workers.note_fetch(request.worker_id, request.hostname, request.queues)
        waiter = self._notifier.wait(request.queues, partial(self._claim, request, count))
        return await waiter.jobs(_wait_seconds(request.timeout))

    @verb
    def ack(self, acks: Sequence[Ack], at: str = "") -> "asyncio.Future[list[Outcome]]":
        """Complete jobs. `at` is the path of an item in the request, e.g. `acks[{}].`."""
        field = f"{at}result"
        for i, item in enumerate(acks):
            check_document(item.result, self._limits.result, field, i)
        now = self._clock()
        return self._store.transition(
            [
                Transition(
                    item.job_id,
                    if_seen(partial(lifecycle.ack, token=item.token, result=item.result, now=now)),
                    getsizeof(item.result),
                )
                for item in acks
            ]
        )

    @verb
    def fail(self, failures: Sequence[Fail]) -> "asyncio.Future[list[Outcome]]":
        """Fail attempts: each job is retried, dead or cancelled."""
        now = self._clock()
        return self._store.transition(
            [
                Transition(
                    item.job_id,
                    if_seen(partial(_fail, item=item, now=now, luck=random.random())),  # noqa: S311
                    memory_of(item.error, item.backtrace),
                )
                for item in failures
            ]
        )

    @verb
    def release(self, releases: Sequence[Release], at: str = "") -> "asyncio.Future[list[Outcome]]":
        """Release jobs without counting the attempt. `at` is as in `ack`."""
        field = f"{at}checkpoint"
        for i, item in enumerate(releases):
            check_document(item.checkpoint, self._limits.checkpoint, field, i)
        now = self._clock()
        return self._store.transition(
            [
                Transition(
                    item.job_id,
                    if_seen(partial(_release, item=item, now=now)),
                    memory_of(item.checkpoint),
                )
                for item in releases
            ]
        )

    @verb
    async def heartbeat(
        self,
        beats: Sequence[Heartbeat],
        worker_id: str | None = None,
        *,
        is_stopped: bool = False,
    ) -> list[Outcome]:
        """Extend leases; store progress and checkpoints. `is_stopped`: the worker has stopped.

        Without `worker_id`, the heartbeat counts for the workers that hold the jobs. Raise
        `CallError` if it has a checkpoint while the disk is too full for new jobs.
        """
        for item in beats:
            check_document(item.progress, self._limits.progress, "jobs.{}.progress", item.job_id)
            check_document(
                item.checkpoint, self._limits.checkpoint, "jobs.{}.checkpoint", item.job_id
            )
        self._check_room(beats)
        if worker_id is not None:
            note = self._workers.note_stop if is_stopped else self._workers.note_heartbeat
            note(worker_id)
        now = self._clock()
        outcomes = await self._store.transition(
            [
                Transition(
                    item.job_id,
                    if_seen(partial(_heartbeat, item=item, now=now)),
                    memory_of(item.progress, item.checkpoint),
                )
                for item in beats
            ]
        )
        if worker_id is None:
            for holder in _holders(outcomes):
                self._workers.note_heartbeat(holder)
        return outcomes

    def _check_room(self, beats: Sequence[Heartbeat]) -> None:
        """Refuse checkpoints while the disk is too full for new jobs."""
        checkpoints = [item.checkpoint for item in beats if item.checkpoint is not None]
        storage = self._store.storage if checkpoints else None
        if storage is not None and storage.room_bytes < sum(map(len, checkpoints)):
            raise CallError(
                ErrorCode.STORAGE_FULL,
                "The disk is too full for checkpoints. Nothing was done. Repeat the heartbeat "
                "without checkpoints to keep the leases.",
            )

    def give_back(self, jobs: Sequence[LeasedJob]) -> None:
        """Take back jobs whose client disconnected before the reply: see `return_undelivered`."""
        self.return_undelivered(leases_of(jobs))

    def return_undelivered(self, leases: Sequence[Lease]) -> None:
        """Release jobs that did not reach their worker. The attempts do not count.

        A job that its worker has reported, or whose lease has ended, stays as it is. Do not wait
        for the commit. If the store refuses, the jobs return when their leases expire.
        """
        if not leases:
            return
        now = self._clock()
        try:
            returned = self._store.transition(
                [
                    Transition(job_id, partial(lifecycle.take_back, token=token, now=now))
                    for job_id, token in leases
                ]
            )
        except StoreError as error:
            _warn_unreleased(len(leases), error)
            return
        self._returns.add(returned)
        returned.add_done_callback(partial(self._given_back, len(leases)))

    def _given_back(self, count: int, returned: "asyncio.Future[list[Outcome]]") -> None:
        self._returns.discard(returned)
        if not returned.cancelled() and (error := returned.exception()) is not None:
            _warn_unreleased(count, error)

    def _claim(self, request: FetchRequest, count: int) -> "asyncio.Future[list[LeasedJob]]":
        lease_ms = request.lease_duration or self._default_lease_ms
        is_fenced = self._require_lease_tokens if request.fenced is None else request.fenced
        # A random number costs a system call: the jobs of a fetch share one, and `seq` makes
        # their tokens unique.
        stem = secrets.token_hex(8)

        def start(job: JobHead, now: int) -> Change:
            return lifecycle.start(
                job,
                now,
                worker_id=request.worker_id,
                hostname=request.hostname,
                lease_ms=lease_ms,
                token=lifecycle.lease_token(stem, job.seq, is_fenced=is_fenced),
            )

        return self._store.fetch(
            Claim(request.queues, count, self._clock, start, self._max_fetch_bytes)
        )


def leases_of(jobs: Sequence[LeasedJob]) -> list[Lease]:
    """Return the leases of fetched jobs, without the documents of the jobs."""
    return [(job.head.id, job.head.lease_token) for job in jobs]


def _warn_unreleased(count: int, error: BaseException) -> None:
    log.warning(
        "%d jobs of a disconnected client were not released; their leases must expire first: %s",
        count,
        error,
    )


def _wait_seconds(timeout: int) -> float:
    """Return how many seconds a fetch waits for a job: slightly less than `timeout` ms.

    Some clients stop reading exactly at the timeout. They would miss the reply, or lose a job.
    """
    return (timeout - min(timeout // 1000 * _EARLY_MS_PER_SECOND, _MAX_EARLY_MS)) / 1000


def _holders(outcomes: Sequence[Outcome]) -> set[str]:
    ids = (outcome.job.worker_id for outcome in outcomes if not isinstance(outcome, Refusal))
    return {worker_id for worker_id in ids if worker_id is not None}


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
    """Cut the middle out of a long error report. No report is refused for its length."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
