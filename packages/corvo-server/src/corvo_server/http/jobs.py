"""Endpoints of jobs: enqueue, get, and act on one job."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TypeAlias

from pydantic import BaseModel
from sanic import HTTPResponse, Request

from corvo_schema import (
    BulkGetReply,
    BulkGetRequest,
    EnqueueBatchReply,
    EnqueueBatchRequest,
    EnqueueReply,
    EnqueueRequest,
    Job,
    MoveRequest,
    PriorityRequest,
    StatusReply,
)
from corvo_schema.errors import ErrorCode
from corvo_schema.states import JobState
from corvo_server.http import documents
from corvo_server.http.endpoint import PRODUCE, SEE_JOBS, STEER, Handler, Parameter, Resource
from corvo_server.http.enqueue_body import read_batch, read_job
from corvo_server.http.replies import enqueued, reply
from corvo_server.http.request import engine_of, read_body, shift_of

resource = Resource("jobs")

_TRACEPARENT = Parameter(
    "traceparent",
    "W3C trace context for jobs without a `traceparent`. A malformed value is ignored.",
    {"type": "string"},
    place="header",
)


_JobAction: TypeAlias = Callable[[Request, str], Awaitable[str]]


def _job_action(
    method: str, path: str, body: type[BaseModel] | None = None
) -> Callable[[_JobAction], Handler]:
    """Serve an action on one job. The decorated function returns the `status` of the reply."""

    def register(action: _JobAction) -> Handler:
        @wraps(action)
        async def handle(request: Request, job_id: str) -> HTTPResponse:
            return reply({"status": await action(request, job_id)})

        return resource.endpoint(
            method,
            f"/jobs/<job_id:str>{path}",
            roles=STEER,
            request=body,
            replies={200: StatusReply},
            errors=(ErrorCode.NOT_FOUND, ErrorCode.INVALID_STATE),
        )(handle)

    return register


@resource.endpoint(
    "POST",
    "/enqueue",
    roles=PRODUCE,
    is_audited=False,
    request=EnqueueRequest,
    replies={201: EnqueueReply, 200: EnqueueReply},
    errors=(ErrorCode.INVALID_STATE,),
    parameters=(_TRACEPARENT,),
)
async def enqueue(request: Request) -> HTTPResponse:
    """Enqueue one job. Answer 201 if it is new, 200 if its id or its unique key already exists.

    Another queue or payload with the id of a stored job is refused.
    """
    found = await engine_of(request).jobs.enqueue(*read_job(request))
    return reply(enqueued(found), 201 if found.is_new else 200)


@resource.endpoint(
    "POST",
    "/enqueue/batch",
    roles=PRODUCE,
    is_audited=False,
    request=EnqueueBatchRequest,
    replies={201: EnqueueBatchReply},
    errors=(ErrorCode.INVALID_STATE,),
    parameters=(_TRACEPARENT,),
)
async def enqueue_batch(request: Request) -> HTTPResponse:
    """Enqueue many jobs, all or none. With `batch`, enqueue a callback job after all have ended."""
    batch = read_batch(request)
    results, batch_id = await engine_of(request).jobs.enqueue_batch(
        batch.request, batch.payloads, batch.callback_payload
    )
    body: dict[str, object] = {"job_ids": [found.job_id for found in results]}
    if batch_id is not None:
        body["batch_id"] = batch_id
    body["results"] = [enqueued(found) for found in results]
    return reply(body, 201)


@resource.endpoint(
    "GET", "/jobs/<job_id:str>", roles=SEE_JOBS, replies={200: Job}, errors=(ErrorCode.NOT_FOUND,)
)
async def get_job(request: Request, job_id: str) -> HTTPResponse:
    """Return a job with its errors and its events."""
    return reply(documents.job(await engine_of(request).jobs.get(job_id), shift_of(request)))


@resource.endpoint(
    "POST",
    "/jobs/bulk-get",
    roles=SEE_JOBS,
    request=BulkGetRequest,
    replies={200: BulkGetReply},
    writes=False,
)
async def bulk_get(request: Request) -> HTTPResponse:
    """Return the jobs in `job_ids` that exist, in that order.

    Several jobs with more than 32 MiB of documents and errors get 413. Ask for fewer ids then.
    """
    body = read_body(request, BulkGetRequest)
    records = await engine_of(request).jobs.bulk_get(body.job_ids)
    return reply({"jobs": [documents.job(record, shift_of(request)) for record in records]})


@_job_action("POST", "/cancel")
async def cancel_job(request: Request, job_id: str) -> str:
    """Cancel a waiting job, or tell the worker of an active one to stop (`cancelling`)."""
    head = await engine_of(request).jobs.cancel(job_id)
    return "cancelling" if head.state is JobState.ACTIVE else "cancelled"


@_job_action("POST", "/retry")
async def retry_job(request: Request, job_id: str) -> str:
    """Retry a finished job from its first attempt, or make a waiting one pending now."""
    await engine_of(request).jobs.retry(job_id)
    return "retried"


@_job_action("POST", "/requeue")
async def requeue_job(request: Request, job_id: str) -> str:
    """Give a dead job one more attempt. Its earlier attempts still count."""
    await engine_of(request).jobs.requeue(job_id)
    return "requeued"


@_job_action("POST", "/move", MoveRequest)
async def move_job(request: Request, job_id: str) -> str:
    """Move a job that is not active to another queue."""
    queue = read_body(request, MoveRequest).queue
    await engine_of(request).jobs.move(job_id, queue)
    return "moved"


@_job_action("POST", "/priority", PriorityRequest)
async def change_priority(request: Request, job_id: str) -> str:
    """Change the priority of a waiting job."""
    priority = read_body(request, PriorityRequest).priority
    await engine_of(request).jobs.change_priority(job_id, priority)
    return "ok"


@_job_action("DELETE", "")
async def delete_job(request: Request, job_id: str) -> str:
    """Delete a job that is not active, with its errors and its unique key."""
    await engine_of(request).jobs.delete(job_id)
    return "deleted"
