"""The `data` column of events: a JSON object as text with the details of a transition."""

from functools import lru_cache

import orjson

from corvo_schema import format_ms
from corvo_schema.states import EventType
from corvo_server.store.records import Change

_STARTED, _COMPLETED = EventType.STARTED, EventType.COMPLETED
"""Bound once, because reading a member of an enum is slow and every job needs both."""
_MAX_ERROR_LENGTH = 1000
"""Characters of an error message that the event log keeps."""


def change_data(change: Change) -> str | None:
    """Return the event data of a transition; None if it has no details."""
    if change.event is _STARTED:
        return _started_data(change.job.attempt, change.job.worker_id)
    if change.event is _COMPLETED:
        return None
    data: dict[str, object] = {}
    if change.failure is not None:
        error = change.failure.error[:_MAX_ERROR_LENGTH]
        data = {"attempt": change.failure.attempt, "error": error}
    if change.event is EventType.RETRYING:
        data["next_attempt_at"] = format_ms(change.job.scheduled_at or change.at)
    if change.progress is not None:
        data["progress"] = orjson.Fragment(change.progress)
    if change.reason is not None:
        data["reason"] = change.reason
    return orjson.dumps(data).decode() if data else None


def reason_data(reason: str | None) -> str | None:
    """Return the event data of an enqueue or a removal; None if it has no reason."""
    return None if reason is None else orjson.dumps({"reason": reason}).decode()


@lru_cache(maxsize=256)
def _started_data(attempt: int, worker_id: str | None) -> str:
    # Cached, because the data is the same for nearly all jobs of a fetch.
    return orjson.dumps({"attempt": attempt, "worker_id": worker_id}).decode()
