"""Endpoints of bulk operations."""

from contextlib import aclosing

from sanic import HTTPResponse, Request

from corvo_schema import BulkAccepted, BulkOperation, BulkReply, BulkRequest
from corvo_schema.errors import ErrorCode
from corvo_server.engine.bulk import BulkDone
from corvo_server.http import documents
from corvo_server.http.endpoint import EVENT_STREAM, SEE, STEER, Resource
from corvo_server.http.event_stream import event_stream
from corvo_server.http.proxies import client_address
from corvo_server.http.replies import accepted, message_data, reply
from corvo_server.http.request import connection_of, engine_of, read_body, shift_of

resource = Resource("bulk")

_REPEAT_AFTER = 5.0
"""Seconds without a change after which the stream repeats the state of the operation."""


@resource.endpoint(
    "POST",
    "/jobs/bulk",
    roles=STEER,
    request=BulkRequest,
    replies={200: BulkReply, 202: BulkAccepted},
)
async def bulk(request: Request) -> HTTPResponse:
    """Apply an action to many jobs. The reply is 202 if it goes on in the background.

    It does so with `async`, with more than 10,000 jobs, and if it does not end within 5 s.
    """
    body = read_body(request, BulkRequest)
    done = await engine_of(request).bulk.run(body, client_address(request))
    if isinstance(done, BulkDone):
        return reply(
            {
                "affected": done.affected,
                "errors": done.errors,
                "duration_ms": round(done.seconds * 1000, 3),
            }
        )
    return accepted(done)


@resource.endpoint("GET", "/bulk", roles=SEE, replies={200: list[BulkOperation]})
async def list_bulk(request: Request) -> HTTPResponse:
    """List the latest 100 background bulk operations, newest first."""
    return reply(
        [
            documents.bulk(record, shift_of(request))
            for record in await engine_of(request).bulk.list()
        ]
    )


@resource.endpoint(
    "GET",
    "/bulk/<bulk_id:str>",
    roles=SEE,
    replies={200: BulkOperation},
    errors=(ErrorCode.NOT_FOUND,),
)
async def get_bulk(request: Request, bulk_id: str) -> HTTPResponse:
    """Return a background bulk operation and its progress."""
    return reply(documents.bulk(await engine_of(request).bulk.get(bulk_id), shift_of(request)))


@resource.endpoint(
    "GET",
    "/bulk/<bulk_id:str>/progress",
    roles=SEE,
    replies={200: BulkOperation},
    media_type=EVENT_STREAM,
    errors=(ErrorCode.NOT_FOUND,),
)
async def follow_bulk(request: Request, bulk_id: str) -> HTTPResponse | None:
    """Stream the progress of a bulk operation as server-sent events, until it has ended.

    If the client does not read the stream for 10 seconds, the server ends it. Its last message is
    then of type `end`, with `reason` and `message`.
    """
    engine = engine_of(request)
    await engine.bulk.get(bulk_id)
    connection = connection_of(request)
    async with event_stream(request) as stream:
        with connection.waiting():
            async with aclosing(engine.bulk.follow(bulk_id, _REPEAT_AFTER)) as records:
                async for record in records:
                    data = message_data(documents.bulk(record, engine.wall.offset))
                    await stream.send(b"event: progress\ndata: %b\n\n" % data)
                    if connection.has_ended():
                        break
    return None


@resource.endpoint(
    "POST",
    "/bulk/<bulk_id:str>/cancel",
    roles=STEER,
    replies={200: BulkOperation},
    errors=(ErrorCode.NOT_FOUND, ErrorCode.INVALID_STATE),
)
async def cancel_bulk(request: Request, bulk_id: str) -> HTTPResponse:
    """Cancel a background bulk operation. Its changes so far remain."""
    return reply(documents.bulk(await engine_of(request).bulk.cancel(bulk_id), shift_of(request)))
