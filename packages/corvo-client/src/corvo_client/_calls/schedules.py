"""Calls about schedules."""

from collections.abc import Mapping
from typing import Any

from corvo_client._call import API, Call
from corvo_client._codec import build, encode, reader, segment
from corvo_client._options import NO_PAYLOAD, ScheduleOptions
from corvo_schema import Schedule, ScheduleRequest, ScheduleStatusReply

_read_schedule = reader(Schedule)
_read_schedules = reader(list[Schedule])
_read_status = reader(ScheduleStatusReply)


def schedule_request(
    name: str,
    *,
    queue: str,
    cron: str,
    payload: Any = NO_PAYLOAD,
    options: ScheduleOptions | None = None,
) -> ScheduleRequest:
    """Check what a caller said of a schedule. Raises `ValidationFailed`."""
    given: Mapping[str, Any] = {} if options is None else options
    members = {key: value for key, value in given.items() if value is not None}
    members |= {"name": name, "queue": queue, "cron": cron}
    if payload is not NO_PAYLOAD:
        members["payload"] = payload
    tags = members.get("tags")
    if isinstance(tags, Mapping):
        members["tags"] = dict(tags)
    return build(ScheduleRequest, members)


def put_schedule(request: ScheduleRequest) -> Call[Schedule]:
    """Write the schedule of a name. Writing it twice has no second effect."""
    return Call("POST", f"{API}/schedules", _read_schedule, encode(request), repeatable=True)


def replace_schedule(schedule: str, request: ScheduleRequest) -> Call[Schedule]:
    """Change a schedule, its name included."""
    body = encode(request)
    # After a change of the name, the old one would not be found when it is sent again.
    return Call("PUT", _path(schedule), _read_schedule, body, repeatable=schedule == request.name)


def list_schedules() -> Call[list[Schedule]]:
    """Ask for all schedules."""
    return Call("GET", f"{API}/schedules", _read_schedules, repeatable=True)


def get_schedule(schedule: str, upcoming: int | None = None) -> Call[Schedule]:
    """Ask for a schedule, with so many of its next times."""
    query = "" if upcoming is None else f"?upcoming={upcoming:d}"
    return Call("GET", _path(schedule) + query, _read_schedule, repeatable=True)


def delete_schedule(schedule: str) -> Call[ScheduleStatusReply]:
    """Remove a schedule."""
    return Call("DELETE", _path(schedule), _read_status)


def pause_schedule(schedule: str) -> Call[ScheduleStatusReply]:
    """Let a schedule's times pass."""
    return Call("POST", f"{_path(schedule)}/pause", _read_status, repeatable=True)


def resume_schedule(schedule: str) -> Call[ScheduleStatusReply]:
    """Let a schedule run again."""
    return Call("POST", f"{_path(schedule)}/resume", _read_status, repeatable=True)


def run_schedule(schedule: str) -> Call[ScheduleStatusReply]:
    """Enqueue a schedule's job now."""
    return Call("POST", f"{_path(schedule)}/run", _read_status)


def _path(schedule: str) -> str:
    return f"{API}/schedules/{segment(schedule)}"
