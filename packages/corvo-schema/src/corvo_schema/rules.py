"""The rules of a job's life cycle: pure functions of plain values. No I/O, no clock.

The server and the test kit of the client both decide by them. Times and delays are in ms. A rule
returns the event that follows; `FINAL_STATES` and `TRANSITIONS` say which state it leads to.
"""

from collections.abc import Iterable
from typing import Any

from corvo_schema.states import TRANSITIONS, Backoff, EventType, JobState, OnConflict

EXPIRED = "expired"
CANCEL_REQUESTED = "cancel requested"

FINAL_STATES = {
    event: after
    for (before, event), after in TRANSITIONS.items()
    if before is JobState.ACTIVE and after is not None and after.is_finished
}
"""The state of a job that an event has finished."""

CLEARED_STATES = (JobState.PENDING, JobState.SCHEDULED)
"""The states of the jobs that the clear of a queue deletes."""

REPLACED_FIELDS = (
    "state",
    "payload",
    "priority",
    "priority_value",
    "tags",
    "max_retries",
    "retry_backoff",
    "retry_base_delay_ms",
    "retry_max_delay_ms",
    "scheduled_at",
    "expire_at",
    "concurrency_key",
)
"""The fields that `on_conflict=replace` takes from the new job. The attempts start again from 0."""

BATCH_COUNTS = {
    JobState.COMPLETED: "succeeded",
    JobState.DEAD: "failed",
    JobState.CANCELLED: "cancelled",
}
"""By final state, the count of a batch that a job adds to."""

_JITTER = 0.1
_CONFLICT_EVENTS = {
    OnConflict.REPLACE: EventType.REPLACED,
    OnConflict.RESCHEDULE: EventType.RESCHEDULED,
}


def waiting_state(due_at: int | None, now: int) -> JobState:
    """Return the state of a job that waits until `due_at` (None: it can run at once)."""
    return JobState.PENDING if due_at is None or due_at <= now else JobState.SCHEDULED


def is_expired(expire_at: int | None, now: int) -> bool:
    """Tell whether a job has reached its `expire_at`."""
    return expire_at is not None and expire_at <= now


def attempts_remaining(max_retries: int, attempt: int) -> int:
    """Return how many attempts may follow the one with the number `attempt`."""
    return max(0, max(1, max_retries) - attempt)


def retry_delay(
    backoff: Backoff, base_delay: int, max_delay: int, attempt: int, luck: float
) -> int:
    """Return the ms from the failed attempt with the number `attempt` (from 1) to the next one.

    The strategy's delay is capped at `max_delay`. `luck`, from 0 to 1, then adds up to a tenth, so
    that jobs that failed together do not return together.
    """
    delay = backoff.delay(base_delay, max_delay, attempt)
    return delay + int(delay * _JITTER * luck)


def event_of_failure(attempts_left: int, *, is_expired: bool, is_cancelled: bool) -> EventType:
    """Return what a failed attempt leads to: CANCELLED, EXPIRED, DEAD or RETRYING.

    `is_cancelled`: the handler asked for that, or a cancel was requested during the attempt.
    """
    if is_cancelled:
        return EventType.CANCELLED
    if is_expired:
        return EventType.EXPIRED
    return EventType.RETRYING if attempts_left else EventType.DEAD


def event_of_release(*, is_expired: bool, is_cancelled: bool) -> EventType:
    """Return what a released attempt leads to: CANCELLED, EXPIRED or RELEASED."""
    if is_cancelled:
        return EventType.CANCELLED
    return EventType.EXPIRED if is_expired else EventType.RELEASED


def event_of_cancel(state: JobState) -> EventType | None:
    """Return CANCELLED for a waiting job, CANCEL_REQUESTED for an active one, else None."""
    if state.is_finished:
        return None
    return EventType.CANCEL_REQUESTED if state is JobState.ACTIVE else EventType.CANCELLED


def event_of_conflict(policy: OnConflict, holder: JobState) -> EventType | None:
    """Return what an enqueue does to the job that holds its unique key: None, nothing.

    A policy of `error` refuses the enqueue in any state: see `duplicate_refusal`.
    """
    return None if holder is JobState.ACTIVE else _CONFLICT_EVENTS.get(policy)


def expired_error(error: str | None) -> str:
    """Return the error of an expired job whose attempt failed with `error` (None: it waited)."""
    return EXPIRED if error is None else f"{EXPIRED}: {error}"


def state_refusal(job_id: str, state: JobState, participle: str, which: str) -> str:
    """Return the message, without its end, for a call that the state of a job does not allow.

    `participle` is the call ("acked"), `which` the states that it takes ("an active").
    """
    return f"Job {job_id} is {state.value}; only {which} job can be {participle}"


def cancel_refusal(job_id: str, state: JobState) -> str:
    """Return the message for the cancel of a finished job."""
    which = "a pending, scheduled, retrying or active"
    return f"{state_refusal(job_id, state, 'cancelled', which)}."


def delete_queue_refusal(queue: str, active: int) -> str:
    """Return the message for the delete of a queue with active jobs."""
    return (
        f"Queue {queue} has {active} active jobs. Drain it and wait for them, or cancel them, then "
        "delete it."
    )


def duplicate_refusal(unique_key: str | None, queue: str, holder_id: str, state: JobState) -> str:
    """Return the message for an enqueue with `on_conflict=error` whose unique key is held."""
    return (
        f"The unique key {unique_key!r} of queue {queue} is held by {holder_id}, which is "
        f"{state.value}. Nothing was enqueued."
    )


def other_job_refusal(
    job_id: str, state: JobState, queue: str, asked_queue: str | None, *, has_other_payload: bool
) -> str:
    """Return the message for an enqueue of another job with the id of a stored one.

    The stored job is in `queue`. `asked_queue` is None if the queue does not differ.
    """
    differences = [] if asked_queue is None else [f"the queue {asked_queue}"]
    if has_other_payload:
        differences.append("another payload")
    return (
        f"The job_id {job_id} belongs to a stored job, which is {state.value} in queue {queue}. "
        f"This enqueue has {' and '.join(differences)}. Nothing was enqueued. "
        "Use another job_id for another job."
    )


def repeated_batch(jobs: Iterable[tuple[bool, str | None]]) -> str | None:
    """Return the batch that an earlier sending of the same request made, or None.

    Each job says whether it is new, and which batch it belongs to. A client that lost an answer
    sends its jobs again with the same ids: none is new then, and a second batch would bring a
    second callback.
    """
    batch_id = None
    for is_new, batch_of_job in jobs:
        if is_new:
            return None
        batch_id = batch_id or batch_of_job
    return batch_id


def callback_payload(batch: Any, payload: Any) -> dict[str, Any]:
    """Return the payload of the callback job of a batch: its id and counts, and the caller's."""
    counts = {name: getattr(batch, name) for name in ("total", *BATCH_COUNTS.values())}
    return {"batch_id": batch.id, **counts, "payload": payload}
