"""Endpoints of batches."""

from sanic import HTTPResponse, Request

from corvo_schema import Batch, BatchList, BatchState
from corvo_schema.errors import ErrorCode
from corvo_schema.ids import BATCH_ID_PATTERN
from corvo_server.http import documents
from corvo_server.http.endpoint import SEE_JOBS, Parameter, Resource
from corvo_server.http.replies import reply
from corvo_server.http.request import choice_of, engine_of, number_of, shift_of, text_of

resource = Resource("batches")

_LIMIT = 50
_MOST = 1000


@resource.endpoint(
    "GET",
    "/batches",
    roles=SEE_JOBS,
    replies={200: BatchList},
    parameters=(
        Parameter("state", "Return only batches in this state.", {"enum": [*BatchState]}),
        Parameter(
            "limit",
            "Maximum number of batches.",
            {"type": "integer", "minimum": 1, "maximum": _MOST, "default": _LIMIT},
        ),
        Parameter(
            "cursor",
            "Cursor of the previous page.",
            {"type": "string", "pattern": f"^{BATCH_ID_PATTERN}$"},
        ),
    ),
)
async def list_batches(request: Request) -> HTTPResponse:
    """List batches, newest first, one page at a time."""
    state = choice_of(request, "state", BatchState)
    limit = number_of(request, "limit", 1, _MOST, default=_LIMIT)
    page = await engine_of(request).batches.list(state, limit, text_of(request, "cursor"))
    return reply(
        {
            "batches": [documents.batch(record, shift_of(request)) for record in page.batches],
            "cursor": page.cursor,
            "has_more": page.cursor is not None,
        }
    )


@resource.endpoint(
    "GET",
    "/batches/<batch_id:str>",
    roles=SEE_JOBS,
    replies={200: Batch},
    errors=(ErrorCode.NOT_FOUND,),
)
async def get_batch(request: Request, batch_id: str) -> HTTPResponse:
    """Return a batch and how many of its jobs have ended."""
    return reply(documents.batch(await engine_of(request).batches.get(batch_id), shift_of(request)))
