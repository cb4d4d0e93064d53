"""Endpoint of the search for jobs."""

from sanic import HTTPResponse, Request

from corvo_schema import SearchReply, SearchRequest
from corvo_server.http import documents
from corvo_server.http.endpoint import SEE_JOBS, Resource
from corvo_server.http.proxies import client_address
from corvo_server.http.replies import reply
from corvo_server.http.request import engine_of, read_body, shift_of

resource = Resource("search")


@resource.endpoint(
    "POST",
    "/jobs/search",
    roles=SEE_JOBS,
    request=SearchRequest,
    replies={200: SearchReply},
    writes=False,
)
async def search_jobs(request: Request) -> HTTPResponse:
    """Return a page of the jobs that match all filters, and the cursor of the next page.

    A page has fewer jobs than `limit` if their documents and errors would exceed 8 MiB. The server
    stops a search after 5 seconds, and returns 503 if a costly one has waited 10 seconds for its
    turn. Keys below the role operator get 403 for a filter that could find values which are masked
    for them.
    """
    shift = shift_of(request)
    body = read_body(request, SearchRequest)
    page = await engine_of(request).search.jobs(body, client_address(request))
    return reply(
        {
            "jobs": [documents.job(record, shift) for record in page.jobs],
            "total": page.total.jobs,
            "total_is_exact": page.total.is_exact,
            "cursor": page.cursor,
            "has_more": page.cursor is not None,
            "duration_ms": round(page.seconds * 1000, 2),
        }
    )
