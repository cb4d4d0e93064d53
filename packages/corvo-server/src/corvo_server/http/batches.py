"""Batches."""

from sanic import HTTPResponse, Request

from corvo_schema import Batch
from corvo_schema.errors import ErrorCode
from corvo_server.http import documents
from corvo_server.http.endpoint import Resource, engine_of
from corvo_server.http.replies import reply

resource = Resource("batches")


@resource.endpoint(
    "GET", "/batches/<batch_id:str>", replies={200: Batch}, errors=(ErrorCode.NOT_FOUND,)
)
async def get_batch(request: Request, batch_id: str) -> HTTPResponse:
    """Return how far a batch has got."""
    return reply(documents.batch(await engine_of(request).batches.get(batch_id)))
