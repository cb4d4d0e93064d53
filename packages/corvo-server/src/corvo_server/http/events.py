"""Endpoint of the event feed, as server-sent events."""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

from sanic import HTTPResponse, Request

from corvo_schema import JobEvent
from corvo_schema.errors import ErrorCode
from corvo_schema.states import EventType
from corvo_server.engine.errors import CallError
from corvo_server.engine.events import EventFilter
from corvo_server.http import documents
from corvo_server.http.endpoint import EVENT_STREAM, SEE_JOBS, Parameter, Resource
from corvo_server.http.event_stream import PIECE_BYTES, EventStream, event_stream
from corvo_server.http.replies import message_data
from corvo_server.http.request import connection_of, engine_of
from corvo_server.store.records import Event

resource = Resource("events")

_KEEP_ALIVE = 15.0
"""Seconds without an event after which a comment keeps the connection open."""

_EVENT_ID = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
_FAILED = "failed"
_FAILURES = frozenset({EventType.RETRYING, EventType.DEAD})
_TYPES = frozenset({*EventType, _FAILED})


def _list_of(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


@resource.endpoint(
    "GET",
    "/events",
    roles=SEE_JOBS,
    replies={200: JobEvent},
    media_type=EVENT_STREAM,
    parameters=(
        Parameter("queues", "Return only events of these queues.", _list_of({"type": "string"})),
        Parameter("job_ids", "Return only events of these jobs.", _list_of({"type": "string"})),
        Parameter(
            "types",
            "Return only events of these types; `failed` means `retrying` and `dead`.",
            _list_of({"enum": [*EventType, _FAILED]}),
        ),
        Parameter(
            "last_event_id",
            "Return only events after this one. By default, the stream starts now.",
            _EVENT_ID,
        ),
        Parameter(
            "Last-Event-ID",
            "Like `last_event_id`, over which it takes precedence.",
            _EVENT_ID,
            place="header",
        ),
    ),
)
async def events(request: Request) -> HTTPResponse | None:
    """Stream the events of jobs as server-sent events.

    `queues`, `job_ids` and `types` (comma-separated) filter them. The type `failed` matches every
    failed attempt, `retrying` or `dead`. `Last-Event-ID` or `last_event_id` resumes the stream
    after an event, if the event log still contains it. If the client does not read the stream for
    10 seconds, the server ends it. Its last message is then of type `end`, with `reason`, `message`
    and the `last_event_id` to resume after.
    """
    engine = engine_of(request)
    log, wall = engine.events, engine.wall
    after = _last_event_id(request)
    if after is None:
        after = await log.last_id()
    event_filter = EventFilter(
        _chosen(request, "queues"), _chosen(request, "job_ids"), _types(request)
    )
    async with event_stream(request) as stream:
        # With this id, a client that disconnects before the first event can resume without a gap.
        await stream.send(b": following\nid: %d\n\n" % after, after)
        connection = connection_of(request)
        if not connection.has_ended():
            with connection.waiting():
                async with aclosing(log.follow(after, event_filter, _KEEP_ALIVE)) as chunks:
                    async for chunk in chunks:
                        await _send(stream, chunk, wall.offset)
    return None


async def _send(stream: EventStream, events: Sequence[Event], shift: int) -> None:
    if not events:
        await stream.send(b": alive\n\n")
    messages: list[bytes] = []
    size = 0
    for event in events:
        message = _message(event, shift)
        messages.append(message)
        size += len(message)
        if size >= PIECE_BYTES or event is events[-1]:
            await stream.send(b"".join(messages), event.id)
            messages, size = [], 0


def _message(event: Event, shift: int) -> bytes:
    data = message_data(documents.event(event, shift))
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.id, event.type.encode(), data)


def _last_event_id(request: Request) -> int | None:
    text = request.headers.get("last-event-id") or request.args.get("last_event_id")
    if not text:
        return None
    if not text.isdecimal() or len(text) > 18:
        expected = "must be the id of an event: a whole number of at most 18 digits"
        raise CallError(
            ErrorCode.VALIDATION_ERROR,
            f"last_event_id {expected}.",
            [("last_event_id", expected)],
        )
    return int(text)


def _chosen(request: Request, name: str) -> frozenset[str] | None:
    text = request.args.get(name)
    return frozenset(text.split(",")) if text else None


def _types(request: Request) -> frozenset[str] | None:
    chosen = _chosen(request, "types")
    if chosen is None:
        return None
    unknown = chosen - _TYPES
    if unknown:
        expected = f"must be one or more of {', '.join([*EventType, _FAILED])}"
        raise CallError(
            ErrorCode.VALIDATION_ERROR,
            f"types {expected}; unknown: {', '.join(sorted(unknown))}.",
            [("types", expected)],
        )
    return chosen | _FAILURES if _FAILED in chosen else chosen
