"""The clear and the delete of a queue: what one transaction and a bulk operation have in common."""

from functools import partial

from corvo_schema import BulkAction, BulkRequest, SearchFilter, rules
from corvo_schema.errors import ErrorCode
from corvo_schema.states import JobState
from corvo_server.engine import lifecycle
from corvo_server.store.bulk import CLEAR_QUEUE, DELETE_QUEUE
from corvo_server.store.queues import QueueRecord
from corvo_server.store.records import Decide, JobHead, Outcome, Refusal, Unchanged
from corvo_server.store.search.filters import JobFilter

_STATES = {
    CLEAR_QUEUE: rules.CLEARED_STATES,
    DELETE_QUEUE: tuple(JobState),
}
"""The states of the jobs that each action deletes."""


def request_of(action: str, queue: str) -> BulkRequest:
    """Return the bulk request for the jobs that `action` deletes."""
    wanted = {"queue": queue, "state": [state.value for state in _STATES[action]]}
    return BulkRequest(action=BulkAction.DELETE, filter=SearchFilter.model_validate(wanted))


def filter_of(action: str, queue: str) -> JobFilter:
    """Return the filter of the jobs that `action` deletes."""
    return JobFilter(queue=queue, states=frozenset(_STATES[action]))


def count_jobs(action: str, queue: QueueRecord) -> int:
    """Return the number of jobs that `action` deletes."""
    return sum(getattr(queue, state.value) for state in _STATES[action])


def rule_of(action: str, queue: str, now: int) -> Decide:
    """Return the rule that deletes a job if `action` covers it."""
    return partial(_delete, queue=queue, states=_STATES[action], now=now)


def _delete(job: JobHead, queue: str, states: tuple[JobState, ...], now: int) -> Outcome:
    if job.queue != queue or job.state not in states:  # it has changed since the search
        return Unchanged(job)
    return lifecycle.delete(job, now)


def check(active: int, action: str, queue: str) -> Refusal | None:
    """Refuse to delete a queue with active jobs."""
    if action == CLEAR_QUEUE or not active:
        return None
    return Refusal(ErrorCode.INVALID_STATE, rules.delete_queue_refusal(queue, active))
