"""The sort orders of searches, the same on every engine.

In ascending and in descending order, jobs with the sort field precede those without it.
"""

from typing import NamedTuple

from corvo_schema import SortField
from corvo_schema.states import JobState
from corvo_server.store.rows.codes import STATE_CODES, STATES
from corvo_server.store.search.fragments import TRUE, Sql, all_of, bind, fuse
from corvo_server.store.search.search import Search

_BY_NAME = {state: place for place, state in enumerate(sorted(STATES))}
_KEYS = {
    SortField.PRIORITY: "jobs.priority",
    SortField.ATTEMPT: "jobs.attempt",
    SortField.QUEUE: "jobs.queue",
    SortField.STATE: "CASE jobs.state"
    + "".join(f" WHEN {STATE_CODES[state]} THEN {place}" for state, place in _BY_NAME.items())
    + " END",
}
"""SQL of the sort fields that every job has. States are sorted by name."""
_TIMES = {
    SortField.SCHEDULED_AT: "scheduled_at",
    SortField.STARTED_AT: "started_at",
    SortField.COMPLETED_AT: "finished_at",
    SortField.FAILED_AT: "failed_at",
}
"""Columns of the sort fields that a job may lack."""


class Phase(NamedTuple):
    """One part of a sort order: either the jobs with the sort field, or those without it."""

    key: str | None
    """SQL of the sort field; None if the jobs of this phase are sorted by seq alone."""
    condition: Sql
    """Condition on the jobs of this phase."""
    is_all: bool = False
    """Whether this is the only phase, with all jobs."""


def phases_of(request: Search) -> list[Phase]:
    """Return the phases of a search's sort order, first to last."""
    if request.sort is SortField.CREATED_AT:
        return [Phase(None, TRUE, is_all=True)]
    if request.sort in _KEYS:
        return [Phase(_KEYS[request.sort], TRUE, is_all=True)]
    key = f"jobs.{_TIMES[request.sort]}"
    has_key = [Sql(f"{key} IS NOT NULL")]
    if request.sort is SortField.COMPLETED_AT:
        has_key.append(fuse("jobs.state = {}", bind(STATE_CODES[JobState.COMPLETED])))
    if request.sort is not SortField.SCHEDULED_AT:  # usually in the future
        has_key.append(fuse(f"{key} <= {{}}", bind(request.as_of)))
    return [Phase(key, all_of(has_key)), Phase(None, fuse("NOT {}", all_of(has_key)))]
