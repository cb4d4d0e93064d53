"""Calls for schedules."""

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
    """Return the validated request of a schedule. Raises `ValidationFailed`."""
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
    """Return the call that creates or replaces the schedule of that name. It is repeatable."""
    return Call("POST", f"{API}/schedules", _read_schedule, encode(request), repeatable=True)


def replace_schedule(schedule: str, request: ScheduleRequest) -> Call[Schedule]:
    """Return the call that replaces a schedule, and its name."""
    body = encode(request)
    # After a new name is stored, a repeated call would not find the old name.
    return Call("PUT", _path(schedule), _read_schedule, body, repeatable=schedule == request.name)


def list_schedules() -> Call[list[Schedule]]:
    """Return the call that lists all schedules."""
    return Call("GET", f"{API}/schedules", _read_schedules, repeatable=True)


def get_schedule(schedule: str, upcoming: int | None = None) -> Call[Schedule]:
    """Return the call that reads a schedule with its next `upcoming` occurrences."""
    query = "" if upcoming is None else f"?upcoming={upcoming:d}"
    return Call("GET", _path(schedule) + query, _read_schedule, repeatable=True)


def delete_schedule(schedule: str) -> Call[ScheduleStatusReply]:
    """Return the call that deletes a schedule."""
    return Call("DELETE", _path(schedule), _read_status)


def pause_schedule(schedule: str) -> Call[ScheduleStatusReply]:
    """Return the call that pauses a schedule."""
    return Call("POST", f"{_path(schedule)}/pause", _read_status, repeatable=True)


def resume_schedule(schedule: str) -> Call[ScheduleStatusReply]:
    """Return the call that resumes a schedule."""
    return Call("POST", f"{_path(schedule)}/resume", _read_status, repeatable=True)


def run_schedule(schedule: str) -> Call[ScheduleStatusReply]:
    """Return the call that enqueues a job of a schedule now."""
    return Call("POST", f"{_path(schedule)}/run", _read_status)


def _path(schedule: str) -> str:
    return f"{API}/schedules/{segment(schedule)}"
