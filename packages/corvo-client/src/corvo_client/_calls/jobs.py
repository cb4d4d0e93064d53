"""Calls of producers, and about single jobs."""

from collections.abc import Iterable, Mapping
from typing import Any, cast
from urllib.parse import urlencode

from corvo_client._call import API, Call
from corvo_client._codec import build, encode, invalid, reader, segment
from corvo_client._errors import ValidationFailed
from corvo_client._lanes import ENQUEUES, read_enqueues
from corvo_client._options import (
    NO_PAYLOAD,
    AnyBatchState,
    AnyPriority,
    EnqueueOptions,
    NewJob,
)
from corvo_client._trace import current_traceparent
from corvo_schema import (
    MAX_BATCH_JOBS,
    Batch,
    BatchList,
    BatchOptions,
    BulkGetReply,
    BulkGetRequest,
    EnqueueBatchReply,
    EnqueueReply,
    EnqueueRequest,
    Job,
    MoveRequest,
    PriorityRequest,
    StatusReply,
    new_job_id,
)

_read_enqueue = reader(EnqueueReply)
_read_job = reader(Job)
_read_jobs = reader(BulkGetReply)
_read_status = reader(StatusReply)
_read_batch = reader(Batch)
_read_batches = reader(BatchList)


def enqueue_request(
    queue: str, payload: Any = NO_PAYLOAD, options: EnqueueOptions | None = None
) -> EnqueueRequest:
    """Check what a caller said of one job. Raises `ValidationFailed`."""
    given = {} if options is None else options
    members: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    members["queue"] = queue
    if payload is not NO_PAYLOAD:
        members["payload"] = payload
    tags = members.get("tags")
    if isinstance(tags, Mapping):
        members["tags"] = dict(tags)
    if "traceparent" not in members and (traceparent := current_traceparent()) is not None:
        members["traceparent"] = traceparent
    return build(EnqueueRequest, members)


def enqueue(request: EnqueueRequest) -> Call[EnqueueReply]:
    """Enqueue one job. The id that it is given makes repeating it safe."""
    body = _encode_job(request)
    return Call(
        "POST",
        f"{API}/enqueue",
        _read_enqueue,
        body,
        repeatable=True,
        lane=ENQUEUES,
        item=body,
    )


def enqueue_batch(
    jobs: Iterable[EnqueueRequest | NewJob], batch: BatchOptions | None
) -> Call[EnqueueBatchReply]:
    """Enqueue many jobs, all or nothing. Raises `ValidationFailed` for none or too many."""
    items = [_encode_job(_request_of(job, index)) for index, job in enumerate(jobs)]
    if not 1 <= len(items) <= MAX_BATCH_JOBS:
        raise invalid(f"a batch has 1 to {MAX_BATCH_JOBS} jobs, not {len(items)}")
    body = b'{"jobs":[%b]' % b",".join(items)
    body += b"}" if batch is None else b',"batch":%b}' % encode(batch)
    return Call("POST", f"{API}/enqueue/batch", read_enqueues, body, repeatable=True)


def get_job(job_id: str) -> Call[Job]:
    """Ask for a job."""
    return Call("GET", _path(job_id), _read_job, repeatable=True)


def bulk_get(job_ids: Iterable[str]) -> Call[BulkGetReply]:
    """Ask for many jobs."""
    body = encode(build(BulkGetRequest, {"job_ids": list(job_ids)}))
    return Call("POST", f"{API}/jobs/bulk-get", _read_jobs, body, repeatable=True)


def cancel_job(job_id: str) -> Call[StatusReply]:
    """Cancel a job."""
    return Call("POST", f"{_path(job_id)}/cancel", _read_status)


def retry_job(job_id: str) -> Call[StatusReply]:
    """Run a job again, or now."""
    return Call("POST", f"{_path(job_id)}/retry", _read_status)


def requeue_job(job_id: str) -> Call[StatusReply]:
    """Give a dead job one more attempt."""
    return Call("POST", f"{_path(job_id)}/requeue", _read_status)


def move_job(job_id: str, queue: str) -> Call[StatusReply]:
    """Put a job into another queue."""
    body = encode(build(MoveRequest, {"queue": queue}))
    return Call("POST", f"{_path(job_id)}/move", _read_status, body)


def change_priority(job_id: str, priority: AnyPriority) -> Call[StatusReply]:
    """Let a job be served earlier or later."""
    body = encode(build(PriorityRequest, {"priority": priority}))
    return Call("POST", f"{_path(job_id)}/priority", _read_status, body, repeatable=True)


def delete_job(job_id: str) -> Call[StatusReply]:
    """Remove a job."""
    return Call("DELETE", _path(job_id), _read_status)


def get_batch(batch_id: str) -> Call[Batch]:
    """Ask how far a batch is."""
    return Call("GET", f"{API}/batches/{segment(batch_id)}", _read_batch, repeatable=True)


def list_batches(
    state: AnyBatchState | None = None, *, limit: int | None = None, cursor: str | None = None
) -> Call[BatchList]:
    """Ask for a page of the batches."""
    given = {"state": state, "limit": limit, "cursor": cursor}
    query = urlencode({name: value for name, value in given.items() if value is not None})
    path = f"{API}/batches?{query}" if query else f"{API}/batches"
    return Call("GET", path, _read_batches, repeatable=True)


def _path(job_id: str) -> str:
    return f"{API}/jobs/{segment(job_id)}"


def _encode_job(request: EnqueueRequest) -> bytes:
    return encode(request, job_id=request.job_id or new_job_id())


def _request_of(job: EnqueueRequest | NewJob, index: int) -> EnqueueRequest:
    if isinstance(job, EnqueueRequest):
        return job
    try:
        # The queue and the payload of the dict are given as arguments; the rest are options.
        options = {key: value for key, value in job.items() if key not in {"queue", "payload"}}
        payload = job.get("payload", NO_PAYLOAD)
        return enqueue_request(job["queue"], payload, cast("EnqueueOptions", options))
    except ValidationFailed as error:
        error.add_note(f"in jobs[{index}]")
        raise
