"""Verbs of producers and administrators on jobs."""

from collections.abc import Callable, Sequence
from functools import partial

from msgspec import Struct

from corvo_schema import EnqueueBatchRequest, EnqueueRequest, IdFactory, OnConflict, to_ms
from corvo_schema.audit import AuditOperation
from corvo_schema.errors import ErrorCode
from corvo_schema.nesting import MAX_CALLBACK_NESTING
from corvo_schema.options import OPTION_NAMES
from corvo_schema.rules import repeated_batch, waiting_state
from corvo_schema.states import JobState, Priority
from corvo_server.auth.caller import Caller, caller
from corvo_server.engine import lifecycle
from corvo_server.engine.access import (
    check_queue,
    check_queues,
    if_seen,
    seen_jobs,
    seen_queues,
)
from corvo_server.engine.audit import audited
from corvo_server.engine.clock import Clock, Wall, wall_of
from corvo_server.engine.errors import CallError, not_found
from corvo_server.engine.options import names_left_out, options_of
from corvo_server.engine.payloads import payload_text
from corvo_server.engine.redaction import Redaction
from corvo_server.engine.verbs import Part, verb
from corvo_server.store.options import fill
from corvo_server.store.protocol import JobsTooLarge, Store
from corvo_server.store.records import (
    Decide,
    Enqueue,
    Enqueued,
    JobAction,
    JobHead,
    JobRecord,
    NewBatch,
    NewJob,
    Outcome,
    Refusal,
    Transition,
)

_MAX_BULK_GET_BYTES = 32 * 1024 * 1024
"""Bytes of documents and errors of several jobs in one reply."""
_READ_AT_ONCE = 250
"""Maximum number of stored jobs that an enqueue reads at once."""
_PENDING = JobState.PENDING
_ON_CONFLICT: dict[OnConflict, Callable[..., Outcome] | None] = {
    OnConflict.IGNORE: None,
    OnConflict.REPLACE: lifecycle.replace_waiting,
    OnConflict.RESCHEDULE: lifecycle.reschedule,
    OnConflict.ERROR: lifecycle.refuse_duplicate,
}
"""Rule for the live job that holds the unique key of a new one; None leaves it unchanged."""


class PlainJob(Struct, gc=False):
    """A job that leaves out all options. Most enqueued jobs are plain."""

    queue: str
    job_id: str | None = None


class PlainBatch(Struct):
    """Plain jobs that are enqueued together, without a batch."""

    jobs: Sequence[PlainJob]
    batch: None = None


class Jobs(Part):
    """Verbs on jobs. Documents (payloads, results) are JSON text and are never changed."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ids: IdFactory,
        redaction: Redaction,
        *,
        max_payload_bytes: int,
    ) -> None:
        self._store = store
        self._clock = clock
        self._wall = wall_of(clock)
        self._ids = ids
        self._redaction = redaction
        self._max_payload_bytes = max_payload_bytes

    @verb
    async def enqueue(self, request: EnqueueRequest | PlainJob, payload: bytes | None) -> Enqueued:
        """Store one job. `payload` is JSON text; None means `{}`."""
        check_queue(request.queue, "queue")
        who, text = caller(), self._checked(payload, "payload")
        job = self._new_job(request, text, self._clock(), None, who)
        (enqueued,) = await self._store_all(Enqueue((job,), quota=who.quota, sees=seen_queues()))
        return enqueued

    @verb
    async def enqueue_batch(
        self,
        request: EnqueueBatchRequest | PlainBatch,
        payloads: Sequence[bytes | None],
        callback_payload: bytes | None,
    ) -> tuple[list[Enqueued], str | None]:
        """Store all jobs or none. Return them, and the batch's id if the request has a batch.

        Documents are JSON text; None means `{}` for a payload.
        """
        now, who = self._clock(), caller()
        _check_queues(request)
        batch = None
        if request.batch is not None:
            document = payload_text(
                callback_payload,
                self._max_payload_bytes,
                "batch.callback_payload",
                max_levels=MAX_CALLBACK_NESTING,
            )
            batch = NewBatch(
                self._ids.batch(),
                now,
                request.batch.callback_queue,
                self._ids.job(),
                document,
                None if who.quota is None else who.quota.name,
            )
        batch_id = batch.id if batch else None
        requests: Sequence[EnqueueRequest | PlainJob] = request.jobs
        jobs = [
            self._new_job(job, self._checked(payload, "jobs[{}].payload", i), now, batch_id, who)
            for i, (job, payload) in enumerate(zip(requests, payloads, strict=True))
        ]
        enqueued = await self._store_all(Enqueue(jobs, batch, who.quota, seen_queues()))
        if batch is not None:
            found = ((job.is_new, job.batch_id) for job in enqueued)
            batch_id = repeated_batch(found) or batch_id
        return enqueued, batch_id

    @verb
    async def get(self, job_id: str) -> JobRecord:
        """Return a job with its failures and events. Raise `CallError` if it does not exist."""
        record = await self._store.find_job(job_id)
        seen = [] if record is None else self._redaction.jobs(seen_jobs([record]))
        if not seen:
            raise not_found(f"job {job_id}")
        return seen[0]

    @verb
    async def bulk_get(self, job_ids: Sequence[str]) -> list[JobRecord]:
        """Return the jobs that exist, in the order of `job_ids`.

        Raise `CallError` if they are too large for one reply.
        """
        try:
            found = await self._store.find_jobs(job_ids, _MAX_BULK_GET_BYTES)
        except JobsTooLarge as error:
            message = (
                f"{error}; a reply may have {_MAX_BULK_GET_BYTES}. Ask for fewer jobs at once."
            )
            raise CallError(
                ErrorCode.PAYLOAD_TOO_LARGE, message, [("job_ids", "fewer jobs at once")]
            ) from None
        return self._redaction.jobs(seen_jobs(found))

    @verb
    async def cancel(self, job_id: str) -> JobHead:
        """Cancel a waiting job, or ask the worker of an active one to stop."""
        now = self._clock()
        rule = partial(lifecycle.cancel, now=now)
        return await self._act(AuditOperation.CANCEL_JOB, job_id, rule, now)

    @verb
    async def retry(self, job_id: str) -> JobHead:
        """Retry a finished job, or make a waiting one pending now."""
        now = self._clock()
        rule = partial(lifecycle.retry, now=now)
        return await self._act(AuditOperation.RETRY_JOB, job_id, rule, now)

    @verb
    async def requeue(self, job_id: str) -> JobHead:
        """Give a dead job one more attempt."""
        now = self._clock()
        rule = partial(lifecycle.requeue, now=now)
        return await self._act(AuditOperation.REQUEUE_JOB, job_id, rule, now)

    @verb
    async def move(self, job_id: str, queue: str) -> JobHead:
        """Move a job that is not active to another queue."""
        check_queue(queue, "queue")
        now = self._clock()
        rule = partial(lifecycle.move, queue=queue, now=now)
        return await self._act(AuditOperation.MOVE_JOB, job_id, rule, now)

    @verb
    async def change_priority(self, job_id: str, priority: Priority) -> JobHead:
        """Change the priority of a waiting job."""
        now = self._clock()
        rule = partial(lifecycle.change_priority, priority=priority, now=now)
        return await self._act(AuditOperation.CHANGE_PRIORITY, job_id, rule, now)

    @verb
    async def delete(self, job_id: str) -> JobHead:
        """Delete a job that is not active."""
        now = self._clock()
        rule = partial(lifecycle.delete, now=now)
        return await self._act(AuditOperation.DELETE_JOB, job_id, rule, now)

    async def _act(
        self, operation: AuditOperation, job_id: str, decide: Decide, now: int
    ) -> JobHead:
        move = Transition(job_id, if_seen(decide), actor=caller().actor)
        audit = audited(operation, now, target=job_id)
        (outcome,) = await self._store.act(JobAction((move,), audit))
        if isinstance(outcome, Refusal):
            raise CallError.of(outcome)
        return outcome.job

    async def _store_all(self, request: Enqueue) -> list[Enqueued]:
        has_secrets = bool(self._redaction.rules) and self._redaction.applies()
        if has_secrets:
            matcher_of = self._redaction.matcher_of
            await self._note_stored([job for job in request.jobs if matcher_of(job.queue)])
        enqueued = await self._store.enqueue(request)
        if (
            isinstance(enqueued, Refusal)
            and enqueued.code is ErrorCode.INVALID_STATE
            and has_secrets
            and await self._note_stored(request.jobs)
        ):  # its message would tell whether the payload of a job in another queue differs
            enqueued = await self._store.enqueue(request)
        if isinstance(enqueued, Refusal):
            raise CallError.of(enqueued)
        return enqueued

    async def _note_stored(self, jobs: Sequence[NewJob]) -> bool:
        """Note the stored payloads that the caller cannot tell from those of `jobs`.

        So the caller does not learn by an enqueue with a known id whether a guess is right. Return
        whether there are any.
        """
        named = [job for job in jobs if job.is_id_from_client and job.same_payload is None]
        has_noted = False
        for start in range(0, len(named), _READ_AT_ONCE):
            chunk = named[start : start + _READ_AT_ONCE]
            found = await self._store.find_jobs([job.id for job in chunk])
            stored = {record.head.id: record for record in found}
            for job in chunk:
                if job.id in stored and self._redaction.looks_same(stored[job.id], job.payload):
                    job.same_payload = stored[job.id].payload
                    has_noted = True
        return has_noted

    def _new_job(
        self,
        request: EnqueueRequest | PlainJob,
        payload: str,
        now: int,
        batch_id: str | None,
        who: Caller,
    ) -> NewJob:
        job_id = request.job_id
        job = NewJob(
            job_id or self._ids.job(),
            request.queue,
            _PENDING,
            payload,
            now,
            batch_id=batch_id,
            is_id_from_client=job_id is not None,
            charged_to=None if who.quota is None else who.quota.name,
            actor=who.actor,
        )
        if isinstance(request, EnqueueRequest):
            _set_options(job, request, self._wall)
        return job

    def _checked(self, payload: bytes | None, field: str, item: object = None) -> str:
        return payload_text(payload, self._max_payload_bytes, field, item)


def _check_queues(request: EnqueueBatchRequest | PlainBatch) -> None:
    """Raise `CallError` if the caller may not use a queue of the request."""
    jobs: Sequence[EnqueueRequest | PlainJob] = request.jobs
    check_queues([job.queue for job in jobs], "jobs[{}].queue")
    if request.batch is not None:
        check_queue(request.batch.callback_queue, "batch.callback_queue")


def _set_options(job: NewJob, request: EnqueueRequest, wall: Wall) -> None:
    """Copy the options of `request` to `job`. Plain jobs skip this: the defaults are the same."""
    now = job.created_at
    if request.scheduled_at is not None:
        job.scheduled_at = wall.to_server(to_ms(request.scheduled_at))
    if request.delay:
        job.scheduled_at = now + request.delay
    job.state = waiting_state(job.scheduled_at, now)
    job.unique_key = request.unique_key
    job.concurrency_key = request.concurrency_key
    job.traceparent = request.traceparent
    options = options_of(request)
    fill(job, options, OPTION_NAMES)
    job.left_out = names_left_out(options)
    rule = _ON_CONFLICT[request.on_conflict]
    if rule is not None:
        job.on_conflict = partial(rule, new=job)
