"""Store of recorded jobs in memory. It applies the rules of the server."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple, TypeVar

from corvo_client._codec import encode_json
from corvo_client.testing._errors import invalid_state, not_found
from corvo_client.testing._queues import QueueSettings
from corvo_schema import (
    BUILT_IN,
    Batch,
    BatchOptions,
    EnqueueReply,
    EnqueueRequest,
    EventType,
    Job,
    JobState,
    OnConflict,
    from_ms,
    new_batch_id,
    new_job_id,
    rules,
    to_ms,
)

T = TypeVar("T")

_WAITING = (JobState.PENDING, JobState.SCHEDULED, JobState.RETRYING)


class _Enqueued(NamedTuple):
    reply: EnqueueReply
    is_new: bool = False
    batch_id: str | None = None


class JobStore:
    """Jobs in the order of their enqueue, unique keys and batches. Thread-safe.

    `clock` returns ms since the epoch.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock
        self.jobs: dict[str, Job] = {}
        self.batches: dict[str, Batch] = {}
        self.queues = QueueSettings()
        self._locks: dict[tuple[str, str], tuple[str, int]] = {}
        self._callbacks: dict[str, BatchOptions] = {}
        self._replaced: set[str] = set()
        """Ids of the jobs whose payload an enqueue has replaced."""
        self._mutex = threading.RLock()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the store."""
        with self._mutex:
            yield

    def enqueue(
        self, requests: Sequence[EnqueueRequest], options: BatchOptions | None = None
    ) -> tuple[list[EnqueueReply], str | None]:
        """Enqueue all jobs or none. Return replies and the batch id. Raises `ApiError`."""
        with self._mutex:
            requests = [self.queues.complete(request) for request in requests]
            self._refuse_other_jobs(requests)
            self._refuse_conflicts(requests)
            batch_id = None if options is None else new_batch_id()
            fresh: set[str] = set()
            enqueued = [self._enqueue(request, batch_id, fresh) for request in requests]
            if options is not None and batch_id is not None:
                repeated = rules.repeated_batch((job.is_new, job.batch_id) for job in enqueued)
                if repeated is None:
                    self._open_batch(batch_id, options, len(fresh))
                batch_id = repeated or batch_id
            return [job.reply for job in enqueued], batch_id

    def get(self, job_id: str) -> Job:
        """Return a job. Raises `NotFound`."""
        job = self.jobs.get(job_id)
        if job is None:
            raise not_found(f"job {job_id}")
        return job

    def get_batch(self, batch_id: str) -> Batch:
        """Return a batch. Raises `NotFound`."""
        batch = self.batches.get(batch_id)
        if batch is None:
            raise not_found(f"batch {batch_id}")
        return batch

    def next_due(self, queues: Sequence[str], until: int) -> tuple[Job, int] | None:
        """Return the next job of these queues and its due time, or None if none is due by `until`.

        Due jobs are sorted by priority, then by age, as in a server. Jobs of paused queues wait.
        """
        now = self.clock()
        waiting = [
            (max(now, due_at(job)), job.priority_value or 0, index, job)
            for index, job in enumerate(self.jobs.values())
            if job.queue in queues
            and job.state in _WAITING
            and not self.queues.is_paused(job.queue)
        ]
        if not waiting:
            return None
        at, _, _, job = min(waiting, key=lambda entry: entry[:3])
        return (job, at) if at <= until else None

    def note_end(self, job: Job) -> None:
        """Release the unique key of a finished job, and count the job in its batch."""
        self._let_go(job, JobState(job.state))

    def empty(self, queue: str, states: Collection[JobState]) -> int:
        """Delete the jobs of a queue in one of the states, and return their number.

        A job that has not finished counts as cancelled in its batch, as in a server. So its batch
        may end, and enqueue its callback.
        """
        with self._mutex:
            found = [
                job for job in self.jobs.values() if job.queue == queue and job.state in states
            ]
            for job in found:
                del self.jobs[job.id]
                self.queues.note_deleted(job)
                if not JobState(job.state).is_finished:
                    self._let_go(job, JobState.CANCELLED)
            return len(found)

    def _let_go(self, job: Job, ended_as: JobState) -> None:
        with self._mutex:
            for key, (holder, _) in list(self._locks.items()):
                if holder == job.id:
                    del self._locks[key]
            if job.batch_id is not None:
                self._count(self.batches[job.batch_id], ended_as)

    def _enqueue(self, request: EnqueueRequest, batch_id: str | None, fresh: set[str]) -> _Enqueued:
        known = self.jobs.get(request.job_id or "")
        if known is not None:
            reply = EnqueueReply(job_id=known.id, status=str(known.state))
            return _Enqueued(reply, batch_id=known.batch_id)
        holder = self._holder(request)
        if holder is not None:
            # If two jobs of one request have the same key, the second one is a duplicate.
            status = "duplicate" if holder.id in fresh else self._resolve_conflict(holder, request)
            return _Enqueued(EnqueueReply(job_id=holder.id, status=status, unique_existing=True))
        job = self._new_job(request, batch_id)
        self.jobs[job.id] = job
        fresh.add(job.id)
        if request.unique_key is not None:
            until = self.clock() + _given(request.unique_period, BUILT_IN.unique_period)
            self._locks[job.queue, request.unique_key] = (job.id, until)
        return _Enqueued(EnqueueReply(job_id=job.id, status=str(job.state)), True, batch_id)

    def _new_job(self, request: EnqueueRequest, batch_id: str | None) -> Job:
        now = self.clock()
        priority = _given(request.priority, BUILT_IN.priority)
        job = Job(
            id=request.job_id or new_job_id(),
            queue=request.queue,
            state=JobState.PENDING,
            payload=request.payload,
            priority=priority,
            priority_value=int(priority),
            max_retries=_given(request.max_retries, BUILT_IN.max_retries),
            retry_backoff=_given(request.retry_backoff, BUILT_IN.retry_backoff),
            retry_base_delay_ms=_given(request.retry_base_delay, BUILT_IN.retry_base_delay),
            retry_max_delay_ms=_given(request.retry_max_delay, BUILT_IN.retry_max_delay),
            unique_key=request.unique_key,
            concurrency_key=request.concurrency_key,
            traceparent=request.traceparent,
            batch_id=batch_id,
            tags=request.tags or {},
            created_at=from_ms(now),
        )
        self._set_time(job, request)
        if request.expire_after is not None:
            job.expire_at = from_ms(now + request.expire_after)
        return job

    def _set_time(self, job: Job, request: EnqueueRequest) -> None:
        now = self.clock()
        job.scheduled_at = request.scheduled_at
        if request.delay:
            job.scheduled_at = from_ms(now + request.delay)
        job.state = rules.waiting_state(ms_of(job.scheduled_at), now)

    def _holder(self, request: EnqueueRequest) -> Job | None:
        if request.unique_key is None:
            return None
        lock = self._locks.get((request.queue, request.unique_key))
        return self.jobs[lock[0]] if lock is not None and lock[1] > self.clock() else None

    def _refuse_other_jobs(self, requests: Sequence[EnqueueRequest]) -> None:
        """Refuse the request if a job has the id of another one, here or in the request."""
        new: dict[str, Job] = {}
        for request in requests:
            job_id = request.job_id or ""
            known = self.jobs.get(job_id) or new.get(job_id)
            if known is None:
                if job_id and self._holder(request) is None:
                    new[job_id] = self._new_job(request, None)
                continue
            is_other = job_id not in self._replaced and (
                encode_json(request.payload) != encode_json(known.payload)
            )
            if request.queue != known.queue or is_other:
                asked_queue = None if request.queue == known.queue else request.queue
                raise invalid_state(
                    rules.other_job_refusal(
                        job_id,
                        JobState(known.state),
                        known.queue,
                        asked_queue,
                        has_other_payload=is_other,
                    )
                )

    def _refuse_conflicts(self, requests: Sequence[EnqueueRequest]) -> None:
        """Raise `InvalidState` if a job with `on_conflict=error` has the key of another job.

        Jobs of the same request do not conflict with each other.
        """
        for request in requests:
            holder = self._holder(request)
            is_repeat = request.job_id in self.jobs
            if request.on_conflict is OnConflict.ERROR and holder is not None and not is_repeat:
                raise invalid_state(
                    rules.duplicate_refusal(
                        request.unique_key, request.queue, holder.id, JobState(holder.state)
                    )
                )

    def _resolve_conflict(self, holder: Job, request: EnqueueRequest) -> str:
        """Apply `on_conflict` to the job that holds the key; return the status of the reply."""
        event = rules.event_of_conflict(request.on_conflict, JobState(holder.state))
        if event is None:
            return "duplicate"
        if event is EventType.RESCHEDULED:
            self._set_time(holder, request)
        else:
            new = self._new_job(request, holder.batch_id)
            for name in rules.REPLACED_FIELDS:
                setattr(holder, name, getattr(new, name))
            holder.attempt = 0
            self._replaced.add(holder.id)
        return event.value

    def _open_batch(self, batch_id: str, options: BatchOptions, total: int) -> None:
        self._callbacks[batch_id] = options
        self.batches[batch_id] = Batch(
            id=batch_id,
            state="running",
            total=total,
            pending=total,
            callback_queue=options.callback_queue,
            created_at=from_ms(self.clock()),
        )
        if not total:
            self._close_batch(self.batches[batch_id])

    def _count(self, batch: Batch, ended_as: JobState) -> None:
        batch.pending -= 1
        count = rules.BATCH_COUNTS[ended_as]
        setattr(batch, count, getattr(batch, count) + 1)
        if batch.pending == 0:
            self._close_batch(batch)

    def _close_batch(self, batch: Batch) -> None:
        options = self._callbacks.pop(batch.id)
        given = {} if options.callback_payload is None else options.callback_payload
        payload = rules.callback_payload(batch, given)
        callback = EnqueueRequest(queue=options.callback_queue, payload=payload)
        (reply,), _ = self.enqueue([callback])
        batch.state, batch.callback_job_id = "finished", reply.job_id
        batch.finished_at = from_ms(self.clock())


def _given(value: T | None, default: T) -> T:
    return default if value is None else value


def ms_of(moment: datetime | None) -> int | None:
    """Return a time in ms since the epoch, or None."""
    return None if moment is None else to_ms(moment)


def due_at(job: Job) -> int:
    """Return the time at which a waiting job runs or expires, in ms since the epoch."""
    at = 0
    if job.state is not JobState.PENDING and job.scheduled_at is not None:
        at = to_ms(job.scheduled_at)
    return at if job.expire_at is None else min(at, to_ms(job.expire_at))
