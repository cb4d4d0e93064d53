"""The parts of an order of searching, which are the same on every engine.

Jobs that have the sort field come first in either order, then those without it.
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
"""What every job has. States are in the order of their names."""
_TIMES = {
    SortField.SCHEDULED_AT: "scheduled_at",
    SortField.STARTED_AT: "started_at",
    SortField.COMPLETED_AT: "finished_at",
    SortField.FAILED_AT: "failed_at",
}
"""What a job may lack."""


class Phase(NamedTuple):
    """A part of an order: jobs that have the sort field come first, then those without it."""

    key: str | None
    condition: Sql
    is_all: bool = False
    """Whether there is no other part."""


def phases_of(request: Search) -> list[Phase]:
    """The parts of the order that a search asks for, first to last."""
    if request.sort is SortField.CREATED_AT:
        return [Phase(None, TRUE, is_all=True)]
    if request.sort in _KEYS:
        return [Phase(_KEYS[request.sort], TRUE, is_all=True)]
    key = f"jobs.{_TIMES[request.sort]}"
    has_key = [Sql(f"{key} IS NOT NULL")]
    if request.sort is SortField.COMPLETED_AT:
        has_key.append(fuse("jobs.state = {}", bind(STATE_CODES[JobState.COMPLETED])))
    if request.sort is not SortField.SCHEDULED_AT:  # which lies ahead as a rule
        has_key.append(fuse(f"{key} <= {{}}", bind(request.as_of)))
    return [Phase(key, all_of(has_key)), Phase(None, fuse("NOT {}", all_of(has_key)))]
