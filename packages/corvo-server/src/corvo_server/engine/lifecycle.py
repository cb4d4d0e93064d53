"""The rules of the state machine: the effect of each call on a job.

Each rule is a pure function from a stored head and a request to a `Change`, an `Unchanged` or a
`Refusal`. Every store runs the rules inside its transactions, so each rule exists once. Tests
compare them with `corvo_schema.states.TRANSITIONS`.
"""

from msgspec.structs import replace

from corvo_schema import rules
from corvo_schema.errors import ErrorCode
from corvo_schema.states import EventType, JobState, OnConflict, Priority
from corvo_server.store.records import (
    Change,
    Failure,
    JobHead,
    NewJob,
    Outcome,
    Refusal,
    Removal,
    Unchanged,
)
from corvo_server.store.sizes import size_of

LEASE_EXPIRED = "lease expired"
NOT_DELIVERED = "not delivered to the worker"
MOVED_FROM = "from "
"""Start of the reason of a move; the queue that the job left follows."""
_FENCED = "f."
"""Start of the tokens of fenced attempts. Other tokens start with a hexadecimal digit.

The token itself says that its attempt is fenced. So every server that reads the job's head knows
it, also after a restart, and no table needs a column for it. For clients, tokens stay opaque.
"""
_CLEARED = ""
_STEP_MS = 10_000
"""Interval of the progress events of an attempt."""
_REPLACED = [name for name in rules.REPLACED_FIELDS if name in JobHead.__struct_fields__]
"""Fields that a replacement sets on the head. The store takes the others from the new job."""


def attempts_remaining(job: JobHead) -> int:
    """Return how many further attempts the job has without a caller's retry or requeue."""
    return rules.attempts_remaining(job.max_retries, job.attempt)


def lease_token(stem: str, seq: int, *, is_fenced: bool) -> str:
    """Return the token of an attempt. `stem` is a random text, the same for all jobs of a fetch.

    Tokens end with the job's seq, so that a store can start the jobs of a fetch in one statement.
    """
    return f"{_FENCED}{stem}{seq}" if is_fenced else f"{stem}{seq}"


# Calls of workers


def start(
    job: JobHead,
    now: int,
    *,
    worker_id: str,
    hostname: str | None,
    lease_ms: int,
    token: str,
) -> Change:
    """Start an attempt of a pending job, with a new lease of `lease_ms` and a new lease token."""
    after = replace(
        job,
        state=JobState.ACTIVE,
        attempt=job.attempt + 1,
        worker_id=worker_id,
        hostname=hostname,
        lease_token=token,
        lease_ms=lease_ms,
        lease_expires_at=now + lease_ms,
        started_at=now,
    )
    return Change(after, now, EventType.STARTED)


def ack(job: JobHead, token: str | None, result: str | None, now: int) -> Outcome:
    """Complete the job, even if a cancel was requested: its work is done."""
    refusal = _guard(job, token, "acked")
    if refusal is not None:
        if job.state is JobState.COMPLETED and _is_repeat(job, token):
            return Unchanged(job)
        return refusal
    after = _ended(job, JobState.COMPLETED, now)
    return Change(after, now, EventType.COMPLETED, result=result)


def fail(
    job: JobHead,
    token: str | None,
    error: str,
    backtrace: str | None,
    now: int,
    *,
    may_retry: bool,
    is_cancel: bool,
    luck: float,
) -> Outcome:
    """Fail the attempt: the job is retried after its backoff, or becomes dead or cancelled.

    `is_cancel` means that the worker decided to cancel the job. `luck` (0 to 1) sets the jitter.
    """
    refusal = _guard(job, token, "failed")
    if refusal is not None:
        if job.state is not JobState.COMPLETED and _is_repeat(job, token):
            return Unchanged(job)
        return refusal
    failure = Failure(job.attempt, error, backtrace, now)
    failed = replace(job, failed_at=now)
    is_cancelled = is_cancel or job.is_cancel_requested
    event = rules.event_of_failure(
        attempts_remaining(job) if may_retry else 0,
        is_expired=rules.is_expired(job.expire_at, now),
        is_cancelled=is_cancelled,
    )
    if event is not EventType.RETRYING:
        reason = None if may_retry else "not to be retried"
        if is_cancelled:
            reason = error if is_cancel else rules.CANCEL_REQUESTED
        return _ended_by(event, failed, now, reason, failure)
    delay = rules.retry_delay(job.backoff, job.base_delay, job.max_delay, job.attempt, luck)
    after = replace(
        _unleased(failed),
        state=JobState.RETRYING,
        scheduled_at=now + delay,
        lease_token=job.lease_token,
    )
    return Change(after, now, event, failure=failure)


def release(
    job: JobHead, token: str | None, delay: int, checkpoint: str | None, now: int
) -> Outcome:
    """Release the job without counting the attempt. It is pending again after `delay` ms."""
    refusal = _guard(job, token, "released")
    if refusal is not None:
        return refusal
    is_expired = rules.is_expired(job.expire_at, now)
    event = rules.event_of_release(is_expired=is_expired, is_cancelled=job.is_cancel_requested)
    if event is not EventType.RELEASED:
        return _ended_by(event, job, now, rules.CANCEL_REQUESTED, checkpoint=checkpoint)
    state = rules.waiting_state(now + delay, now)
    after = replace(_unleased(job), state=state, attempt=job.attempt - 1)
    if delay > 0:
        after.scheduled_at = now + delay
    return Change(after, now, event, checkpoint=checkpoint)


def take_back(job: JobHead, token: str | None, now: int) -> Outcome:
    """Release a job whose worker did not receive it. The attempt does not count.

    A job with a heartbeat was received, so it stays with its worker.
    """
    if job.lease_expires_at != (job.started_at or 0) + job.lease_ms:
        return Unchanged(job)
    outcome = release(job, token, 0, None, now)
    if isinstance(outcome, Change) and outcome.event is EventType.RELEASED:
        outcome.reason = NOT_DELIVERED
    return outcome


def heartbeat(
    job: JobHead, token: str | None, progress: str | None, checkpoint: str | None, now: int
) -> Outcome:
    """Extend the lease by the job's lease duration; store progress and checkpoint if given.

    Not every progress is an event: see `_is_step`.
    """
    refusal = _guard(job, token, "kept alive")
    if refusal is not None:
        return refusal
    after = replace(job, lease_expires_at=now + job.lease_ms)
    event = EventType.PROGRESS if progress is not None and _is_step(job, now) else None
    return Change(after, now, event, progress=progress, checkpoint=checkpoint)


def _is_step(job: JobHead, now: int) -> bool:
    """Return whether progress at `now` is an event: at most once in each 10 s of an attempt.

    That is the first heartbeat of the attempt, and the first in each further 10 s. Workers report
    progress twice a second, which would fill the timeline of the job and the log of events.
    """
    started_at = job.started_at or 0
    last_beat = (job.lease_expires_at or 0) - job.lease_ms
    if last_beat <= started_at:
        return True
    return (last_beat - started_at) // _STEP_MS != (now - started_at) // _STEP_MS


# Calls of operators


def cancel(job: JobHead, now: int) -> Outcome:
    """Cancel a waiting job at once; tell the worker of an active one with its next heartbeat."""
    event = rules.event_of_cancel(job.state)
    if event is None:
        message = rules.cancel_refusal(job.id, job.state)
        return Refusal(ErrorCode.INVALID_STATE, message, job.state)
    if event is EventType.CANCELLED:
        return _ended_by(event, job, now)
    if job.is_cancel_requested:
        return Unchanged(job)
    return Change(replace(job, is_cancel_requested=True), now, event)


def retry(job: JobHead, now: int) -> Outcome:
    """Retry a finished job from its first attempt, or make a waiting one pending now."""
    if job.state in {JobState.PENDING, JobState.ACTIVE}:
        return _refuse(job, "retried", "a dead, cancelled, completed, scheduled or retrying")
    if not job.state.is_finished:
        after = replace(job, state=JobState.PENDING, scheduled_at=now)
        return Change(after, now, EventType.RETRIED)
    after = replace(_runnable(job, now), attempt=0, started_at=None)
    return Change(after, now, EventType.RETRIED, result=_CLEARED)


def requeue(job: JobHead, now: int) -> Outcome:
    """Give a dead job one more attempt. Its earlier attempts still count."""
    if job.state is not JobState.DEAD:
        return _refuse(job, "requeued", "a dead")
    after = replace(_runnable(job, now), max_retries=job.attempt + 1)
    return Change(after, now, EventType.REQUEUED)


def move(job: JobHead, queue: str, now: int) -> Outcome:
    """Move a job that is not active to another queue."""
    if job.state is JobState.ACTIVE:
        return _refuse(job, "moved", "an inactive")
    if job.queue == queue:
        return Unchanged(job)
    return Change(replace(job, queue=queue), now, EventType.MOVED, f"{MOVED_FROM}{job.queue}")


def change_priority(job: JobHead, priority: Priority, now: int) -> Outcome:
    """Change the priority of a waiting job."""
    if job.state.is_finished or job.state is JobState.ACTIVE:
        return _refuse(job, "given another priority", "a pending, scheduled or retrying")
    if job.priority is priority:
        return Unchanged(job)
    after = replace(job, priority=priority)
    return Change(after, now, EventType.PRIORITY_CHANGED, f"from {job.priority.label}")


def delete(job: JobHead, now: int) -> Outcome:
    """Delete a job that is not active."""
    if job.state is JobState.ACTIVE:
        return _refuse(job, "deleted", "an inactive", "cancel it first")
    return Removal(job, now, EventType.DELETED)


# Effects of an enqueue on the job that holds its unique key


def replace_waiting(job: JobHead, new: NewJob) -> Outcome:
    """Give a waiting job the `REPLACED_FIELDS` of the new one. Do not change an active one."""
    event = rules.event_of_conflict(OnConflict.REPLACE, job.state)
    if event is None:
        return Unchanged(job)
    stored = 0 if job.charged_to is None else size_of(new.payload)
    values = {name: getattr(new, name) for name in _REPLACED}
    after = replace(job, attempt=0, charged_bytes=stored, **values)
    return Change(after, new.created_at, event, replacement=new)


def reschedule(job: JobHead, new: NewJob) -> Outcome:
    """Give a waiting job the time of the new one. Do not change an active one."""
    event = rules.event_of_conflict(OnConflict.RESCHEDULE, job.state)
    if event is None:
        return Unchanged(job)
    after = replace(job, state=new.state, scheduled_at=new.scheduled_at)
    return Change(after, new.created_at, event)


def refuse_duplicate(job: JobHead, new: NewJob) -> Outcome:
    """Refuse the new job."""
    message = rules.duplicate_refusal(new.unique_key, new.queue, job.id, job.state)
    return Refusal(ErrorCode.INVALID_STATE, message, job.state)


# Actions of the server


def promote(job: JobHead, now: int) -> Change:
    """Make a due scheduled or retrying job pending."""
    why = "backoff is over" if job.state is JobState.RETRYING else "scheduled time has come"
    return Change(replace(job, state=JobState.PENDING), now, EventType.PROMOTED, why)


def reclaim(job: JobHead, now: int) -> Change:
    """End the attempt of a job whose lease has expired; its worker counts as dead.

    The attempt counts, so that a job that kills its workers does not run forever.
    """
    error = f"{LEASE_EXPIRED}: worker {job.worker_id} did not ack, fail or heartbeat in time"
    failure = Failure(job.attempt, error, None, now)
    lost = replace(job, failed_at=now, lease_token=None)
    is_cancelled = job.is_cancel_requested
    event = rules.event_of_failure(
        attempts_remaining(job),
        is_expired=rules.is_expired(job.expire_at, now),
        is_cancelled=is_cancelled,
    )
    if event is not EventType.RETRYING:
        reason = rules.CANCEL_REQUESTED if is_cancelled else LEASE_EXPIRED
        return _ended_by(event, lost, now, reason, failure)
    after = replace(_unleased(lost), state=JobState.PENDING)
    return Change(after, now, EventType.RECLAIMED, LEASE_EXPIRED, failure)


def expire(job: JobHead, now: int) -> Change:
    """Make a waiting job past its expiry dead."""
    return _ended_by(EventType.EXPIRED, job, now)


# Helpers of the rules


def _guard(job: JobHead, token: str | None, participle: str) -> Refusal | None:
    """Refuse the call unless its token holds the lease; None if it is allowed.

    A call without a token (of an older client) is allowed on any active job that is not fenced.
    """
    if token is None:
        if job.state is JobState.ACTIVE and _is_fenced(job):
            return Refusal(
                ErrorCode.LEASE_LOST,
                f"Job {job.id} is active in a fenced attempt, which needs the lease_token of its "
                "fetch. Send the token, or drop this attempt.",
                job.state,
            )
    elif token != job.lease_token:
        return Refusal(
            ErrorCode.LEASE_LOST,
            f"The lease token is not the current one of job {job.id}, which is {job.state.value}: "
            "the lease ended and the job may be with another worker. Drop this attempt.",
            job.state,
        )
    if job.state is not JobState.ACTIVE:
        return _refuse(job, participle, "an active")
    return None


def _is_fenced(job: JobHead) -> bool:
    return job.lease_token is not None and job.lease_token.startswith(_FENCED)


def _is_repeat(job: JobHead, token: str | None) -> bool:
    """Return whether the call repeats the one that ended the job's last attempt."""
    return token is not None and token == job.lease_token


def _refuse(job: JobHead, participle: str, which: str, advice: str = "") -> Refusal:
    message = rules.state_refusal(job.id, job.state, participle, which)
    message += f": {advice}." if advice else "."
    return Refusal(ErrorCode.INVALID_STATE, message, job.state)


def _unleased(job: JobHead) -> JobHead:
    return replace(job, worker_id=None, hostname=None, lease_token=None, lease_expires_at=None)


def _runnable(job: JobHead, now: int) -> JobHead:
    """Return a finished job as pending. A past expiry is removed: it would end the job at once."""
    return replace(
        _unleased(job),
        state=JobState.PENDING,
        scheduled_at=now,
        expire_at=None if rules.is_expired(job.expire_at, now) else job.expire_at,
        finished_at=None,
        is_cancel_requested=False,
    )


def _ended(job: JobHead, state: JobState, now: int) -> JobHead:
    """Return the job as finished.

    The worker stays for information, and the token stays to recognise a repeated call.
    """
    return replace(job, state=state, lease_expires_at=None, finished_at=now)


def _ended_by(
    event: EventType,
    job: JobHead,
    now: int,
    reason: str | None = None,
    failure: Failure | None = None,
    *,
    checkpoint: str | None = None,
) -> Change:
    """Finish the job by CANCELLED, DEAD or EXPIRED. An expiry has its own reason and error."""
    if event is EventType.EXPIRED:
        reason = rules.EXPIRED
        error, backtrace = (failure.error, failure.backtrace) if failure else (None, None)
        failure = Failure(job.attempt, rules.expired_error(error), backtrace, now)
        job = replace(job, failed_at=now)
    after = _ended(job, rules.FINAL_STATES[event], now)
    return Change(after, now, event, reason, failure, checkpoint=checkpoint)
