"""What attempts do to recorded jobs: the server's rules once more, for one job at a time."""

from typing import Any

from corvo_client.testing._ledger import Ledger, invalid_state
from corvo_client.worker._outcomes import Completed, Failed, Outcome
from corvo_schema import Backoff, Job, JobError, JobState, from_ms, to_ms

EXPIRED = "expired"


def start(ledger: Ledger, job: Job, worker_id: str) -> None:
    """Begin an attempt."""
    job.state = JobState.ACTIVE
    job.attempt += 1
    job.worker_id = worker_id
    job.started_at = from_ms(ledger.clock())


def is_expired(ledger: Ledger, job: Job) -> bool:
    """Tell whether a job was not finished in time."""
    return job.expire_at is not None and to_ms(job.expire_at) <= ledger.clock()


def expire(ledger: Ledger, job: Job) -> None:
    """End a job that was not finished in time."""
    _note_error(ledger, job, EXPIRED, None)
    _end(ledger, job, JobState.DEAD)


def cancel(ledger: Ledger, job: Job) -> str:
    """Cancel a job; return the status. Raises `InvalidState` when it has ended."""
    if not isinstance(job.state, JobState) or job.state.is_finished:
        raise invalid_state(f"Job {job.id} is {job.state}; it has ended")
    if job.state is JobState.ACTIVE:
        job.cancel_requested = True
        return "cancelling"
    _end(ledger, job, JobState.CANCELLED)
    return "cancelled"


def finish(ledger: Ledger, job: Job, outcome: Outcome) -> None:
    """End an attempt."""
    match outcome:
        case Completed():
            job.result = outcome.result
            _end(ledger, job, JobState.COMPLETED)
        case Failed():
            _fail(ledger, job, outcome)
        case _:
            _release(ledger, job, outcome.delay)


def _fail(ledger: Ledger, job: Job, failed: Failed) -> None:
    attempts_left = max(job.max_retries, 1) - job.attempt
    if failed.cancel or job.cancel_requested:
        _note_error(ledger, job, failed.error, failed.backtrace)
        _end(ledger, job, JobState.CANCELLED)
    elif is_expired(ledger, job):
        _note_error(ledger, job, f"{EXPIRED}: {failed.error}", failed.backtrace)
        _end(ledger, job, JobState.DEAD)
    elif not failed.retry or attempts_left <= 0:
        _note_error(ledger, job, failed.error, failed.backtrace)
        _end(ledger, job, JobState.DEAD)
    else:
        _note_error(ledger, job, failed.error, failed.backtrace)
        _wait(ledger, job, JobState.RETRYING, _pause(job))


def _release(ledger: Ledger, job: Job, seconds: float) -> None:
    if job.cancel_requested:
        _end(ledger, job, JobState.CANCELLED)
    elif is_expired(ledger, job):
        expire(ledger, job)
    else:
        job.attempt -= 1
        _wait(ledger, job, JobState.SCHEDULED if seconds else JobState.PENDING, seconds * 1000)


def _wait(ledger: Ledger, job: Job, state: JobState, ms: float) -> None:
    job.state = state
    job.worker_id = None
    if state is not JobState.PENDING:
        job.scheduled_at = from_ms(ledger.clock() + round(ms))


def _pause(job: Job) -> int:
    backoff = Backoff(job.retry_backoff)
    # Without the random part: a test is the same each time.
    return backoff.delay(job.retry_base_delay_ms, job.retry_max_delay_ms, job.attempt)


def _note_error(ledger: Ledger, job: Job, text: str, backtrace: str | None) -> None:
    now = from_ms(ledger.clock())
    job.failed_at = now
    told: dict[str, Any] = {"error": text, "backtrace": backtrace, "created_at": now}
    job.errors.append(JobError(attempt=job.attempt, **told))


def _end(ledger: Ledger, job: Job, state: JobState) -> None:
    job.state = state
    if state is JobState.COMPLETED:
        job.completed_at = from_ms(ledger.clock())
    ledger.ended(job)
