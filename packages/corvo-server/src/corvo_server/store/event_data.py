"""What the event log keeps beside type, job, queue and time of an event: on every engine."""

from functools import lru_cache

import orjson

from corvo_schema import format_ms
from corvo_schema.states import EventType
from corvo_server.store.records import Change

_LONGEST_ERROR = 1000
_STARTED, _COMPLETED = EventType.STARTED, EventType.COMPLETED
"""Named once: a member is looked up slowly, and every job asks for them."""


def reason_data(reason: str | None) -> str | None:
    """What is kept of an enqueue or a removal: why, where the server did it by itself."""
    return None if reason is None else orjson.dumps({"reason": reason}).decode()


def event_data(change: Change) -> str | None:
    """A JSON object as text; None where there is nothing more to say."""
    if change.event is _STARTED:
        return _started(change.job.attempt, change.job.worker_id)
    if change.event is _COMPLETED:
        return None
    data: dict[str, object] = {}
    if change.failure is not None:
        error = change.failure.error[:_LONGEST_ERROR]
        data = {"attempt": change.failure.attempt, "error": error}
    if change.event is EventType.RETRYING:
        data["next_attempt_at"] = format_ms(change.job.scheduled_at or change.at)
    if change.progress is not None:
        data["progress"] = orjson.Fragment(change.progress)
    if change.reason is not None:
        data["reason"] = change.reason
    return orjson.dumps(data).decode() if data else None


@lru_cache(maxsize=256)
def _started(attempt: int, worker_id: str | None) -> str:
    # The same for nearly all jobs of a fetch.
    return orjson.dumps({"attempt": attempt, "worker_id": worker_id}).decode()
