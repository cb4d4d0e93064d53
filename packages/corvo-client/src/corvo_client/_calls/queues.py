"""Calls about queues."""

from corvo_client._call import API, Call
from corvo_client._codec import build, encode, invalid, reader, segment
from corvo_client._options import AnyDuration
from corvo_schema import ConcurrencyRequest, QueueInfo, QueueStatusReply, ThrottleRequest

_read_queue = reader(QueueInfo)
_read_queues = reader(list[QueueInfo])
_read_status = reader(QueueStatusReply)


def list_queues() -> Call[list[QueueInfo]]:
    """Ask for all queues."""
    return Call("GET", f"{API}/queues", _read_queues, repeatable=True)


def get_queue(name: str) -> Call[QueueInfo]:
    """Ask for one queue."""
    return Call("GET", _path(name), _read_queue, repeatable=True)


def pause_queue(name: str) -> Call[QueueStatusReply]:
    """Hold a queue's jobs back."""
    return Call("POST", f"{_path(name)}/pause", _read_status, repeatable=True)


def resume_queue(name: str) -> Call[QueueStatusReply]:
    """Hand a queue's jobs out again."""
    return Call("POST", f"{_path(name)}/resume", _read_status, repeatable=True)


def drain_queue(name: str) -> Call[QueueStatusReply]:
    """Hold a queue's jobs back and let the active ones end."""
    return Call("POST", f"{_path(name)}/drain", _read_status, repeatable=True)


def clear_queue(name: str) -> Call[QueueStatusReply]:
    """Remove a queue's waiting jobs."""
    return Call("POST", f"{_path(name)}/clear", _read_status)


def delete_queue(name: str) -> Call[QueueStatusReply]:
    """Remove a queue with all its jobs."""
    return Call("DELETE", f"{_path(name)}?confirm=true", _read_status)


def limit_queue(name: str, limit: int | None, per_key: int | None) -> Call[QueueStatusReply]:
    """Limit how many of a queue's jobs are active. Raises `ValidationFailed` for no limit."""
    members = {"max": limit, "per_key": per_key}
    given = {member: value for member, value in members.items() if value is not None}
    if not given:
        raise invalid("give a limit, in all or per key")
    body = encode(build(ConcurrencyRequest, given))
    return Call("POST", f"{_path(name)}/concurrency", _read_status, body, repeatable=True)


def throttle_queue(name: str, rate: int, period: AnyDuration) -> Call[QueueStatusReply]:
    """Limit how many of a queue's jobs start in a time."""
    body = encode(build(ThrottleRequest, {"rate": rate, "period": period}))
    return Call("POST", f"{_path(name)}/throttle", _read_status, body, repeatable=True)


def unthrottle_queue(name: str) -> Call[QueueStatusReply]:
    """Lift that limit."""
    return Call("DELETE", f"{_path(name)}/throttle", _read_status, repeatable=True)


def _path(name: str) -> str:
    return f"{API}/queues/{segment(name)}"
