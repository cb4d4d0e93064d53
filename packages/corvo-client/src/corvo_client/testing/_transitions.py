"""State transitions of recorded jobs, by the rules of `corvo_schema.rules`."""

from corvo_client.testing._errors import invalid_state
from corvo_client.testing._store import JobStore, ms_of
from corvo_client.worker._outcomes import Completed, Failed, Outcome
from corvo_schema import Backoff, EventType, Job, JobError, JobState, from_ms, rules


def start(store: JobStore, job: Job, worker_id: str) -> None:
    """Start an attempt."""
    job.state = JobState.ACTIVE
    job.attempt += 1
    job.worker_id = worker_id
    job.started_at = from_ms(store.clock())


def is_expired(store: JobStore, job: Job) -> bool:
    """Return whether a job has expired."""
    return rules.is_expired(ms_of(job.expire_at), store.clock())


def expire(store: JobStore, job: Job) -> None:
    """End an expired job."""
    _note_error(store, job, rules.expired_error(None), None)
    _end(store, job, EventType.EXPIRED)


def cancel(store: JobStore, job: Job) -> EventType:
    """Cancel a job; return CANCELLED or CANCEL_REQUESTED. Raises `InvalidState` if finished."""
    state = JobState(job.state)
    event = rules.event_of_cancel(state)
    if event is None:
        raise invalid_state(rules.cancel_refusal(job.id, state))
    if event is EventType.CANCELLED:
        _end(store, job, event)
    else:
        job.cancel_requested = True
    return event


def finish(store: JobStore, job: Job, outcome: Outcome) -> None:
    """End an attempt with its outcome."""
    match outcome:
        case Completed():
            job.result = outcome.result
            job.completed_at = from_ms(store.clock())
            _end(store, job, EventType.COMPLETED)
        case Failed():
            _fail(store, job, outcome)
        case _:
            _release(store, job, round(outcome.delay * 1000))


def _fail(store: JobStore, job: Job, failed: Failed) -> None:
    event = rules.event_of_failure(
        rules.attempts_remaining(job.max_retries, job.attempt) if failed.retry else 0,
        is_expired=is_expired(store, job),
        is_cancelled=failed.cancel or job.cancel_requested,
    )
    is_expiry = event is EventType.EXPIRED
    error = rules.expired_error(failed.error) if is_expiry else failed.error
    _note_error(store, job, error, failed.backtrace)
    if event is not EventType.RETRYING:
        _end(store, job, event)
        return
    limits = (job.retry_base_delay_ms, job.retry_max_delay_ms)
    # No jitter, so that tests are deterministic.
    delay = rules.retry_delay(Backoff(job.retry_backoff), *limits, job.attempt, luck=0)
    _wait(store, job, JobState.RETRYING, delay)


def _release(store: JobStore, job: Job, delay: int) -> None:
    is_cancelled = job.cancel_requested
    event = rules.event_of_release(is_expired=is_expired(store, job), is_cancelled=is_cancelled)
    if event is EventType.EXPIRED:
        expire(store, job)
    elif event is EventType.CANCELLED:
        _end(store, job, event)
    else:
        job.attempt -= 1
        now = store.clock()
        _wait(store, job, rules.waiting_state(now + delay, now), delay)


def _wait(store: JobStore, job: Job, state: JobState, delay: int) -> None:
    job.state = state
    job.worker_id = None
    if state is not JobState.PENDING:
        job.scheduled_at = from_ms(store.clock() + delay)


def _note_error(store: JobStore, job: Job, error: str, backtrace: str | None) -> None:
    job.failed_at = now = from_ms(store.clock())
    job.errors.append(
        JobError(attempt=job.attempt, error=error, backtrace=backtrace, created_at=now)
    )


def _end(store: JobStore, job: Job, event: EventType) -> None:
    job.state = rules.FINAL_STATES[event]
    store.note_end(job)
