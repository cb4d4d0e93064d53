"""Calls for queues."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from corvo_client._call import API, Call
from corvo_client._codec import build, encode, invalid, reader, segment
from corvo_client._options import AnyDuration, DefaultOptions
from corvo_schema import (
    BulkAccepted,
    ConcurrencyRequest,
    QueueDefaultsRequest,
    QueueInfo,
    QueueStatusReply,
    ThrottleRequest,
)

_read_queue = reader(QueueInfo)
_read_queues = reader(list[QueueInfo])
_read_status = reader(QueueStatusReply)
# The first model has more members, all required, so it never fits a reply of the other kind.
_read_emptied: Any = reader(
    Annotated[BulkAccepted | QueueStatusReply, Field(union_mode="left_to_right")]  # type: ignore[arg-type]
)


def list_queues() -> Call[list[QueueInfo]]:
    """Return the call that lists all queues."""
    return Call("GET", f"{API}/queues", _read_queues, repeatable=True)


def get_queue(name: str) -> Call[QueueInfo]:
    """Return the call that reads one queue."""
    return Call("GET", _path(name), _read_queue, repeatable=True)


def pause_queue(name: str) -> Call[QueueStatusReply]:
    """Return the call that pauses a queue."""
    return Call("POST", f"{_path(name)}/pause", _read_status, repeatable=True)


def resume_queue(name: str) -> Call[QueueStatusReply]:
    """Return the call that resumes a queue."""
    return Call("POST", f"{_path(name)}/resume", _read_status, repeatable=True)


def drain_queue(name: str) -> Call[QueueStatusReply]:
    """Return the call that drains a queue."""
    return Call("POST", f"{_path(name)}/drain", _read_status, repeatable=True)


def clear_queue(name: str) -> Call[QueueStatusReply | BulkAccepted]:
    """Return the call that deletes the waiting jobs of a queue, at once or in the background."""
    return Call("POST", f"{_path(name)}/clear", _read_emptied)


def delete_queue(name: str) -> Call[QueueStatusReply | BulkAccepted]:
    """Return the call that deletes a queue with all its jobs, at once or in the background."""
    return Call("DELETE", f"{_path(name)}?confirm=true", _read_emptied)


def limit_queue(name: str, limit: int | None, per_key: int | None) -> Call[QueueStatusReply]:
    """Return the call that limits the active jobs of a queue. Raises `ValidationFailed`."""
    members = {"max": limit, "per_key": per_key}
    given = {member: value for member, value in members.items() if value is not None}
    if not given:
        raise invalid("there is no limit; set `limit` or `per_key`")
    body = encode(build(ConcurrencyRequest, given))
    return Call("POST", f"{_path(name)}/concurrency", _read_status, body, repeatable=True)


def throttle_queue(name: str, rate: int, period: AnyDuration) -> Call[QueueStatusReply]:
    """Return the call that sets the rate limit of a queue."""
    body = encode(build(ThrottleRequest, {"rate": rate, "period": period}))
    return Call("POST", f"{_path(name)}/throttle", _read_status, body, repeatable=True)


def unthrottle_queue(name: str) -> Call[QueueStatusReply]:
    """Return the call that removes the rate limit of a queue."""
    return Call("DELETE", f"{_path(name)}/throttle", _read_status, repeatable=True)


def set_queue_defaults(
    name: str, options: DefaultOptions, payload_schema: Mapping[str, Any] | None = None
) -> Call[QueueStatusReply]:
    """Return the call that replaces the defaults of a queue. Raises `ValidationFailed`."""
    members: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
    if "tags" in members:
        members["tags"] = dict(members["tags"])
    if payload_schema is not None:
        members["payload_schema"] = dict(payload_schema)
    body = encode(build(QueueDefaultsRequest, members))
    return Call("PUT", f"{_path(name)}/defaults", _read_status, body, repeatable=True)


def clear_queue_defaults(name: str) -> Call[QueueStatusReply]:
    """Return the call that removes the defaults of a queue."""
    return Call("DELETE", f"{_path(name)}/defaults", _read_status, repeatable=True)


def _path(name: str) -> str:
    return f"{API}/queues/{segment(name)}"
