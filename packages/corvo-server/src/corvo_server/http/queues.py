"""Endpoints of queues."""

from msgspec import Raw, Struct
from pydantic import TypeAdapter, ValidationError
from sanic import HTTPResponse, Request

from corvo_schema import (
    BulkAccepted,
    ConcurrencyRequest,
    JobOptions,
    QueueDefaultsRequest,
    QueueInfo,
    QueueStatusReply,
    ThrottleRequest,
)
from corvo_schema.errors import ErrorCode
from corvo_schema.fields import QueueName
from corvo_server.engine.errors import CallError
from corvo_server.http import documents
from corvo_server.http.endpoint import SEE_JOBS, STEER, Parameter, Resource
from corvo_server.http.replies import accepted, reply
from corvo_server.http.request import document, engine_of, read_body, read_documents, shift_of
from corvo_server.store.bulk import BulkRecord

resource = Resource("queues")

_NOTHING = Raw(b"")


class _DefaultsDocuments(Struct):
    payload_schema: Raw = _NOTHING


_queue_name = TypeAdapter[str](QueueName)


@resource.endpoint("GET", "/queues", roles=SEE_JOBS, replies={200: list[QueueInfo]})
async def list_queues(request: Request) -> HTTPResponse:
    """List all queues with their settings and exact counts of jobs."""
    queues = engine_of(request).queues
    return reply(
        [
            documents.queue(record, queues.age_of_oldest(record), shift_of(request))
            for record in await queues.list()
        ]
    )


@resource.endpoint(
    "GET",
    "/queues/<name:str>",
    roles=SEE_JOBS,
    replies={200: QueueInfo},
    errors=(ErrorCode.NOT_FOUND,),
)
async def get_queue(request: Request, name: str) -> HTTPResponse:
    """Return a queue with its settings and exact counts of jobs."""
    queues = engine_of(request).queues
    record = await queues.get(name)
    return reply(documents.queue(record, queues.age_of_oldest(record), shift_of(request)))


@resource.endpoint(
    "POST",
    "/queues/<name:str>/pause",
    roles=STEER,
    replies={200: QueueStatusReply},
    errors=(ErrorCode.VALIDATION_ERROR,),
)
async def pause_queue(request: Request, name: str) -> HTTPResponse:
    """Pause a queue: stop fetches from it until it is resumed. Jobs can still be enqueued."""
    await engine_of(request).queues.pause(_checked(name))
    return reply({"status": "paused"})


@resource.endpoint(
    "POST",
    "/queues/<name:str>/resume",
    roles=STEER,
    replies={200: QueueStatusReply},
    errors=(ErrorCode.VALIDATION_ERROR,),
)
async def resume_queue(request: Request, name: str) -> HTTPResponse:
    """Resume a paused or draining queue: allow fetches from it again."""
    await engine_of(request).queues.resume(_checked(name))
    return reply({"status": "resumed"})


@resource.endpoint(
    "POST",
    "/queues/<name:str>/drain",
    roles=STEER,
    replies={200: QueueStatusReply},
    errors=(ErrorCode.VALIDATION_ERROR,),
)
async def drain_queue(request: Request, name: str) -> HTTPResponse:
    """Drain a queue: pause it and let its active jobs finish. It stays `draining` until resumed."""
    await engine_of(request).queues.drain(_checked(name))
    return reply({"status": "draining"})


@resource.endpoint(
    "POST",
    "/queues/<name:str>/clear",
    roles=STEER,
    replies={200: QueueStatusReply, 202: BulkAccepted},
    errors=(ErrorCode.NOT_FOUND,),
)
async def clear_queue(request: Request, name: str) -> HTTPResponse:
    """Delete the pending and scheduled jobs of a queue.

    With more than 250 jobs it is a bulk operation; the reply is 202 if that takes longer than 5 s.
    """
    return _emptied("cleared", await engine_of(request).queues.clear(name))


@resource.endpoint(
    "DELETE",
    "/queues/<name:str>",
    roles=STEER,
    replies={200: QueueStatusReply, 202: BulkAccepted},
    errors=(ErrorCode.NOT_FOUND, ErrorCode.INVALID_STATE),
    parameters=(
        Parameter(
            "confirm",
            "Must be `true`, because this deletes the queue with all its jobs.",
            {"enum": ["true"]},
            is_required=True,
        ),
    ),
)
async def delete_queue(request: Request, name: str) -> HTTPResponse:
    """Delete a queue with all its jobs and settings. Requires `?confirm=true`.

    With more than 250 jobs it is a bulk operation; the reply is 202 if that takes longer than 5 s.
    """
    if request.args.get("confirm") != "true":
        expected = "must be true, because this deletes the queue with all its jobs"
        raise CallError(ErrorCode.VALIDATION_ERROR, f"confirm {expected}.", [("confirm", expected)])
    return _emptied("deleted", await engine_of(request).queues.delete(name))


@resource.endpoint(
    "POST",
    "/queues/<name:str>/concurrency",
    roles=STEER,
    request=ConcurrencyRequest,
    replies={200: QueueStatusReply},
)
async def limit_queue(request: Request, name: str) -> HTTPResponse:
    """Limit the active jobs of a queue, in total or per concurrency key; 0 or null: no limit."""
    limits = read_body(request, ConcurrencyRequest)
    queue = _checked(name)
    queues = engine_of(request).queues
    total, per_key = limits.max or None, limits.per_key or None
    match sorted({"max", "per_key"} & limits.model_fields_set):
        case ["max", "per_key"]:
            await queues.limit_both(queue, total, per_key)
        case ["per_key"]:
            await queues.limit_keys(queue, per_key)
        case _:
            await queues.limit(queue, total)
    return reply({"status": "ok"})


@resource.endpoint(
    "POST",
    "/queues/<name:str>/throttle",
    roles=STEER,
    request=ThrottleRequest,
    replies={200: QueueStatusReply},
)
async def throttle_queue(request: Request, name: str) -> HTTPResponse:
    """Set the rate limit of a queue: at most `rate` jobs start in any window of that length."""
    limits = read_body(request, ThrottleRequest)
    await engine_of(request).queues.throttle(_checked(name), limits.rate, limits.window)
    return reply({"status": "ok"})


@resource.endpoint(
    "DELETE",
    "/queues/<name:str>/throttle",
    roles=STEER,
    replies={200: QueueStatusReply},
    errors=(ErrorCode.VALIDATION_ERROR,),
)
async def unthrottle_queue(request: Request, name: str) -> HTTPResponse:
    """Remove the rate limit of a queue."""
    await engine_of(request).queues.throttle(_checked(name), None, None)
    return reply({"status": "ok"})


@resource.endpoint(
    "PUT",
    "/queues/<name:str>/defaults",
    roles=STEER,
    request=QueueDefaultsRequest,
    replies={200: QueueStatusReply},
    errors=(ErrorCode.PAYLOAD_TOO_LARGE,),
)
async def set_defaults(request: Request, name: str) -> HTTPResponse:
    """Replace the defaults of a queue, for the options that the request of a job leaves out.

    They apply to jobs that are enqueued afterwards: by an enqueue, a schedule or the callback of a
    batch. `{}` removes the defaults.
    """
    defaults = read_body(request, QueueDefaultsRequest)
    schema = document(read_documents(request, _DefaultsDocuments).payload_schema)
    if defaults.payload_schema is None:
        schema = None
    await engine_of(request).queues.set_defaults(_checked(name), defaults, schema)
    return reply({"status": "ok"})


@resource.endpoint(
    "DELETE",
    "/queues/<name:str>/defaults",
    roles=STEER,
    replies={200: QueueStatusReply},
    errors=(ErrorCode.VALIDATION_ERROR,),
)
async def clear_defaults(request: Request, name: str) -> HTTPResponse:
    """Remove the defaults of a queue."""
    await engine_of(request).queues.set_defaults(_checked(name), JobOptions(), None)
    return reply({"status": "ok"})


def _emptied(status: str, outcome: int | BulkRecord) -> HTTPResponse:
    if isinstance(outcome, BulkRecord):
        return accepted(outcome)
    return reply({"status": status, "deleted": outcome})


def _checked(name: str) -> str:
    """Return `name`, which the call may create. Raise `CallError` if it is not a queue name."""
    try:
        return _queue_name.validate_python(name)
    except ValidationError as error:
        expected = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise CallError(
            ErrorCode.VALIDATION_ERROR, f"The queue's name {expected}.", [("name", expected)]
        ) from None
