"""Queues."""

from pydantic import TypeAdapter, ValidationError
from sanic import HTTPResponse, Request

from corvo_schema import QueueInfo, QueueStatusReply
from corvo_schema.errors import ErrorCode
from corvo_schema.fields import QueueName
from corvo_server.engine.errors import CallError
from corvo_server.http import documents
from corvo_server.http.endpoint import Resource, engine_of
from corvo_server.http.replies import reply

resource = Resource("queues")

_queue_name = TypeAdapter[str](QueueName)


@resource.endpoint("GET", "/queues", replies={200: list[QueueInfo]})
async def list_queues(request: Request) -> HTTPResponse:
    """Return all queues with their settings and exact counts."""
    queues = engine_of(request).queues
    return reply(
        [documents.queue(record, queues.age_of_oldest(record)) for record in await queues.list()]
    )


@resource.endpoint(
    "GET", "/queues/<name:str>", replies={200: QueueInfo}, errors=(ErrorCode.NOT_FOUND,)
)
async def get_queue(request: Request, name: str) -> HTTPResponse:
    """Return one queue with its settings and exact counts."""
    queues = engine_of(request).queues
    record = await queues.get(name)
    return reply(documents.queue(record, queues.age_of_oldest(record)))


@resource.endpoint("POST", "/queues/<name:str>/pause", replies={200: QueueStatusReply})
async def pause_queue(request: Request, name: str) -> HTTPResponse:
    """Hand out no more jobs of the queue, until it is resumed."""
    await engine_of(request).queues.pause(_checked(name))
    return reply({"status": "paused"})


@resource.endpoint("POST", "/queues/<name:str>/resume", replies={200: QueueStatusReply})
async def resume_queue(request: Request, name: str) -> HTTPResponse:
    """Hand out jobs of the queue again."""
    await engine_of(request).queues.resume(_checked(name))
    return reply({"status": "resumed"})


def _checked(name: str) -> str:
    """A name that may come into being by this call."""
    try:
        return _queue_name.validate_python(name)
    except ValidationError as error:
        expected = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise CallError(
            ErrorCode.VALIDATION_ERROR, f"The queue's name {expected}.", [("name", expected)]
        ) from None
