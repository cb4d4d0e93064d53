"""The `data` of events: a JSON object as text."""

from functools import lru_cache

import orjson

from corvo_schema import format_ms
from corvo_schema.states import EventType
from corvo_server.store.records import Change

_MAX_ERROR_LENGTH = 1000
"""Characters of an error message that the event log keeps."""
_STARTED, _COMPLETED = EventType.STARTED, EventType.COMPLETED
"""Bound once, because reading a member of an enum is slow and every job needs them many times."""


def change_data(change: Change, actor: str | None) -> str | None:
    """Return the event data of a transition; None if it has no details."""
    if change.event is _STARTED:
        return _started_data(change.job.attempt, change.job.worker_id, actor)
    if change.event is _COMPLETED:
        return None if actor is None else _actor_data(actor)
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
    if actor is not None:
        data["actor"] = actor
    return orjson.dumps(data).decode() if data else None


def reason_data(reason: str | None, actor: str | None) -> str | None:
    """Return the event data of an enqueue or a removal; None if it has no details."""
    if reason is None:
        return None if actor is None else _actor_data(actor)
    data = {"reason": reason}
    if actor is not None:
        data["actor"] = actor
    return orjson.dumps(data).decode()


@lru_cache(maxsize=256)
def _actor_data(actor: str) -> str:
    return orjson.dumps({"actor": actor}).decode()


@lru_cache(maxsize=256)
def _started_data(attempt: int, worker_id: str | None, actor: str | None) -> str:
    # Cached, because the data is the same for nearly all jobs of a fetch.
    data = {"attempt": attempt, "worker_id": worker_id}
    return orjson.dumps(data if actor is None else data | {"actor": actor}).decode()
