"""The rules of bulk operations: what they do to a job, and who sees them."""

from functools import lru_cache, partial

import orjson

from corvo_schema import BulkAction, BulkRequest, BulkStatus
from corvo_schema.errors import ErrorCode
from corvo_schema.states import JobState
from corvo_server.auth.scope import Scope
from corvo_server.engine import lifecycle
from corvo_server.store.bulk import ACTOR, EMPTYING, SCOPE, UNENDED, BulkOutcome, BulkRecord
from corvo_server.store.records import Decide, JobHead, Outcome, Refusal


@lru_cache(maxsize=4)
def parsed(request: str) -> BulkRequest:
    """Return the request of a stored operation."""
    # Cached, because each chunk needs the request, which may list 10,000 ids.
    fields = orjson.loads(request)
    for name in (SCOPE, ACTOR):
        fields.pop(name, None)
    return BulkRequest.model_validate_json(orjson.dumps(fields))


def is_seen(record: BulkRecord, scope: Scope | None) -> bool:
    """Return whether an operation exists for callers with this scope."""
    if scope is None:
        return True
    if record.action in EMPTYING:
        return record.queue is not None and record.queue in scope
    return record.scope is not None and frozenset(record.scope) == frozenset(scope.globs)


def limited_rule_of(request: BulkRequest, now: int) -> Decide:
    """Return the rule of a request, limited to jobs in its `states`."""
    rule = rule_of(request, now)
    return (
        partial(_in_states, states=frozenset(request.states), rule=rule) if request.states else rule
    )


def _in_states(job: JobHead, *, states: frozenset[JobState], rule: Decide) -> Outcome:
    if job.state in states:
        return rule(job)
    wanted = ", ".join(sorted(states))
    return Refusal(
        ErrorCode.INVALID_STATE,
        f"Job {job.id} is {job.state.value}; this operation takes only jobs that are {wanted}.",
        job.state,
    )


def rule_of(request: BulkRequest, now: int) -> Decide:
    """Return the rule that applies the action of a request to a job."""
    match request.action:
        case BulkAction.RETRY:
            return partial(_retry_finished, now=now)
        case BulkAction.DELETE:
            return partial(lifecycle.delete, now=now)
        case BulkAction.CANCEL:
            return partial(lifecycle.cancel, now=now)
        case BulkAction.MOVE:
            return partial(lifecycle.move, queue=request.move_to_queue or "", now=now)
        case BulkAction.REQUEUE:
            return partial(lifecycle.requeue, now=now)
        case BulkAction.CHANGE_PRIORITY:
            priority = request.priority
            if priority is None:  # the model has checked this
                raise ValueError("change_priority without a priority")
            return partial(lifecycle.change_priority, priority=priority, now=now)


def _retry_finished(job: JobHead, now: int) -> Outcome:
    """Retry a finished job. Refuse a waiting one, unlike the retry of a single job."""
    if not job.state.is_finished:
        return Refusal(
            ErrorCode.INVALID_STATE,
            f"Job {job.id} is {job.state.value}; a bulk retry takes only finished jobs.",
            job.state,
        )
    return lifecycle.retry(job, now)


def failed(record: BulkRecord | None, *, why: Exception, now: int) -> BulkOutcome:
    """End an operation with an error."""
    if record is None or record.status not in UNENDED:
        return Refusal(ErrorCode.INVALID_STATE, "The bulk operation has already ended.")
    return record.ended(BulkStatus.FAILED, now, f"stopped: {why}")


def cancelled(
    record: BulkRecord | None, *, bulk_id: str, scope: Scope | None, now: int
) -> BulkOutcome:
    """Cancel an operation, unless it has ended or does not exist for the caller."""
    if record is None or not is_seen(record, scope):
        return Refusal(ErrorCode.NOT_FOUND, f"There is no bulk operation {bulk_id}.")
    if record.status not in UNENDED:
        message = (
            f"Bulk operation {bulk_id} is already {record.status.value}; "
            "only a queued or running one can be cancelled."
        )
        return Refusal(ErrorCode.INVALID_STATE, message)
    return record.ended(BulkStatus.CANCELLED, now)
