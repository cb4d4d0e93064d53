"""Endpoints of schedules."""

from typing import Any

from msgspec import Raw, Struct
from sanic import HTTPResponse, Request

from corvo_schema import Schedule, ScheduleRequest, ScheduleStatusReply
from corvo_schema.errors import ErrorCode
from corvo_server.http import documents
from corvo_server.http.endpoint import SEE, STEER, Parameter, Resource
from corvo_server.http.replies import reply
from corvo_server.http.request import (
    document,
    engine_of,
    number_of,
    read_body,
    read_documents,
    shift_of,
)
from corvo_server.store.schedules import ScheduleRecord

resource = Resource("schedules")

_NOTHING = Raw(b"")
_UPCOMING = 5
_MOST_UPCOMING = 100


class _ScheduleDocuments(Struct):
    payload: Raw = _NOTHING


@resource.endpoint("GET", "/schedules", roles=SEE, replies={200: list[Schedule]})
async def list_schedules(request: Request) -> HTTPResponse:
    """List all schedules by name."""
    records = await engine_of(request).schedules.list()
    return reply([documents.schedule(record, shift_of(request)) for record in records])


@resource.endpoint(
    "POST",
    "/schedules",
    roles=STEER,
    request=ScheduleRequest,
    replies={201: Schedule, 200: Schedule},
)
async def put_schedule(request: Request) -> HTTPResponse:
    """Create a schedule (201), or replace the schedule with the same name (200)."""
    body = read_body(request, ScheduleRequest)
    payload = document(read_documents(request, _ScheduleDocuments).payload)
    record, is_new = await engine_of(request).schedules.put(body, payload)
    return reply(await _shown(request, record), 201 if is_new else 200)


@resource.endpoint(
    "GET",
    "/schedules/<schedule:str>",
    roles=SEE,
    replies={200: Schedule},
    errors=(ErrorCode.NOT_FOUND,),
    parameters=(
        Parameter(
            "upcoming",
            "Number of next occurrences to return.",
            {
                "type": "integer",
                "minimum": 0,
                "maximum": _MOST_UPCOMING,
                "default": _UPCOMING,
            },
        ),
    ),
)
async def get_schedule(request: Request, schedule: str) -> HTTPResponse:
    """Return a schedule by id or name, with its next occurrences."""
    count = number_of(request, "upcoming", 0, _MOST_UPCOMING, default=_UPCOMING)
    record = await engine_of(request).schedules.get(schedule)
    return reply(await _shown(request, record, count))


@resource.endpoint(
    "PUT",
    "/schedules/<schedule:str>",
    roles=STEER,
    request=ScheduleRequest,
    replies={200: Schedule},
    errors=(ErrorCode.NOT_FOUND, ErrorCode.INVALID_STATE),
)
async def replace_schedule(request: Request, schedule: str) -> HTTPResponse:
    """Replace a schedule by id or name. The body may contain a new name."""
    body = read_body(request, ScheduleRequest)
    payload = document(read_documents(request, _ScheduleDocuments).payload)
    record = await engine_of(request).schedules.replace(schedule, body, payload)
    return reply(await _shown(request, record))


@resource.endpoint(
    "DELETE",
    "/schedules/<schedule:str>",
    roles=STEER,
    replies={200: ScheduleStatusReply},
    errors=(ErrorCode.NOT_FOUND,),
)
async def delete_schedule(request: Request, schedule: str) -> HTTPResponse:
    """Delete a schedule. The jobs that it has enqueued remain."""
    await engine_of(request).schedules.delete(schedule)
    return reply({"status": "deleted"})


@resource.endpoint(
    "POST",
    "/schedules/<schedule:str>/pause",
    roles=STEER,
    replies={200: ScheduleStatusReply},
    errors=(ErrorCode.NOT_FOUND,),
)
async def pause_schedule(request: Request, schedule: str) -> HTTPResponse:
    """Pause a schedule: it enqueues no jobs until it is resumed."""
    await engine_of(request).schedules.pause(schedule)
    return reply({"status": "paused"})


@resource.endpoint(
    "POST",
    "/schedules/<schedule:str>/resume",
    roles=STEER,
    replies={200: ScheduleStatusReply},
    errors=(ErrorCode.NOT_FOUND,),
)
async def resume_schedule(request: Request, schedule: str) -> HTTPResponse:
    """Resume a schedule. `misfire` decides about the occurrences missed during the pause."""
    await engine_of(request).schedules.resume(schedule)
    return reply({"status": "resumed"})


@resource.endpoint(
    "POST",
    "/schedules/<schedule:str>/run",
    roles=STEER,
    replies={200: ScheduleStatusReply},
    errors=(ErrorCode.NOT_FOUND,),
)
async def run_schedule(request: Request, schedule: str) -> HTTPResponse:
    """Enqueue a job of a schedule now. Its next occurrence does not change."""
    enqueued = await engine_of(request).schedules.run(schedule)
    return reply(
        {
            "status": "duplicate" if enqueued.is_duplicate else "enqueued",
            "job_id": enqueued.job_id,
        }
    )


async def _shown(
    request: Request, record: ScheduleRecord, count: int = _UPCOMING
) -> dict[str, Any]:
    """Return the object of a schedule with its next `count` occurrences and its warnings."""
    schedules = engine_of(request).schedules
    upcoming, warnings = schedules.upcoming(record, count), await schedules.warnings(record)
    return documents.schedule(record, shift_of(request), upcoming, warnings)
