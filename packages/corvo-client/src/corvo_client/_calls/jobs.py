"""Calls that enqueue jobs, and calls for single jobs and batches."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, TypeGuard
from urllib.parse import urlencode

from pydantic import TypeAdapter, ValidationError

from corvo_client._batch_endpoints import ENQUEUES, read_enqueues
from corvo_client._call import API, Call
from corvo_client._codec import RawJson, build, encode, encode_json, invalid, reader, segment
from corvo_client._errors import ValidationFailed
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
    is_queue_name,
    new_job_id,
    new_job_ids,
)

_read_enqueue = reader(EnqueueReply)
_read_job = reader(Job)
_read_jobs = reader(BulkGetReply)
_read_status = reader(StatusReply)
_read_batch = reader(Batch)
_read_batches = reader(BatchList)


# Fields with the same value in Python and in JSON.
_UNCONVERTED = (
    "queue",
    "payload",
    "unique_key",
    "max_retries",
    "tags",
    "concurrency_key",
    "traceparent",
)
_UNCONVERTED_OR_ID = frozenset({*_UNCONVERTED, "job_id"})
_PLAIN_MEMBERS = frozenset({"queue", "payload"})
_CONVERTED_TYPES = (RawJson, type(NO_PAYLOAD))


@cache
def _requests() -> TypeAdapter[list[EnqueueRequest]]:
    return TypeAdapter(list[EnqueueRequest])


def enqueue_request(
    queue: str, payload: Any = NO_PAYLOAD, options: EnqueueOptions | None = None
) -> EnqueueRequest:
    """Return the validated request of one job. Raises `ValidationFailed`."""
    members = _members({} if options is None else options, current_traceparent())
    members["queue"] = queue
    if payload is not NO_PAYLOAD:
        members["payload"] = payload
    return build(EnqueueRequest, members)


def enqueue_new(queue: str, payload: Any, options: EnqueueOptions) -> Call[EnqueueReply]:
    """Return the call that enqueues one job. Raises `ValidationFailed`."""
    job: NewJob = {"queue": queue, "payload": payload}
    if options or not _are_plain([job]):
        return enqueue(enqueue_request(queue, payload, options))
    return _enqueue(encode_json({"job_id": new_job_id(), **job}))


def enqueue(request: EnqueueRequest) -> Call[EnqueueReply]:
    """Return the call that enqueues one job. It is repeatable, because the job has an id."""
    return _enqueue(_encode_job(request))


def _enqueue(body: bytes) -> Call[EnqueueReply]:
    return Call(
        "POST",
        f"{API}/enqueue",
        _read_enqueue,
        body,
        repeatable=True,
        prompt=True,
        batch_endpoint=ENQUEUES,
        item=body,
    )


def enqueue_batch(
    jobs: Iterable[EnqueueRequest | NewJob], batch: BatchOptions | None
) -> Call[EnqueueBatchReply]:
    """Return the call that enqueues 1 to 10,000 jobs, all or none. Raises `ValidationFailed`."""
    job_list = list(jobs)
    if not 1 <= len(job_list) <= MAX_BATCH_JOBS:
        raise invalid(f"a batch has 1 to {MAX_BATCH_JOBS} jobs, not {len(job_list)}")
    body = b'{"jobs":%b' % _encode_jobs(job_list)
    body += b"}" if batch is None else b',"batch":%b}' % encode(batch)
    return Call("POST", f"{API}/enqueue/batch", read_enqueues, body, repeatable=True)


def get_job(job_id: str) -> Call[Job]:
    """Return the call that reads a job."""
    return Call("GET", _path(job_id), _read_job, repeatable=True)


def bulk_get(job_ids: Iterable[str]) -> Call[BulkGetReply]:
    """Return the call that reads many jobs."""
    body = encode(build(BulkGetRequest, {"job_ids": list(job_ids)}))
    return Call("POST", f"{API}/jobs/bulk-get", _read_jobs, body, repeatable=True)


def cancel_job(job_id: str) -> Call[StatusReply]:
    """Return the call that cancels a job."""
    return Call("POST", f"{_path(job_id)}/cancel", _read_status)


def retry_job(job_id: str) -> Call[StatusReply]:
    """Return the call that retries a job."""
    return Call("POST", f"{_path(job_id)}/retry", _read_status)


def requeue_job(job_id: str) -> Call[StatusReply]:
    """Return the call that requeues a dead job."""
    return Call("POST", f"{_path(job_id)}/requeue", _read_status)


def move_job(job_id: str, queue: str) -> Call[StatusReply]:
    """Return the call that moves a job to another queue."""
    body = encode(build(MoveRequest, {"queue": queue}))
    return Call("POST", f"{_path(job_id)}/move", _read_status, body)


def change_priority(job_id: str, priority: AnyPriority) -> Call[StatusReply]:
    """Return the call that changes the priority of a job."""
    body = encode(build(PriorityRequest, {"priority": priority}))
    return Call("POST", f"{_path(job_id)}/priority", _read_status, body, repeatable=True)


def delete_job(job_id: str) -> Call[StatusReply]:
    """Return the call that deletes a job."""
    return Call("DELETE", _path(job_id), _read_status)


def get_batch(batch_id: str) -> Call[Batch]:
    """Return the call that reads a batch."""
    return Call("GET", f"{API}/batches/{segment(batch_id)}", _read_batch, repeatable=True)


def list_batches(
    state: AnyBatchState | None = None, *, limit: int | None = None, cursor: str | None = None
) -> Call[BatchList]:
    """Return the call that reads one page of the batches."""
    given = {"state": state, "limit": limit, "cursor": cursor}
    query = urlencode({name: value for name, value in given.items() if value is not None})
    path = f"{API}/batches?{query}" if query else f"{API}/batches"
    return Call("GET", path, _read_batches, repeatable=True)


def _path(job_id: str) -> str:
    return f"{API}/jobs/{segment(job_id)}"


def _are_plain(jobs: Sequence[EnqueueRequest | NewJob]) -> TypeGuard[Sequence[NewJob]]:
    """Return whether all jobs are valid dicts without options, which need no conversion."""
    if current_traceparent() is not None:
        return False
    for job in jobs:
        if type(job) is not dict or not _PLAIN_MEMBERS.issuperset(job):
            return False
        queue = job.get("queue")
        if type(queue) is not str or not is_queue_name(queue):
            return False
        if isinstance(job.get("payload"), _CONVERTED_TYPES):
            return False
    return True


def _encode_jobs(jobs: Sequence[EnqueueRequest | NewJob]) -> bytes:
    # Encoding all jobs in one call takes a third of the time. Plain jobs need no models, which
    # take most of the remaining time.
    if _are_plain(jobs):
        ids = new_job_ids(len(jobs))
        items = [{"job_id": id_, **job} for id_, job in zip(ids, jobs, strict=True)]
        return encode_json(items, levels=2)
    requests = _requests_of(jobs)
    written = [_as_members(request) for request in requests]
    if all(job is not None for job in written):
        return encode_json(written, levels=2)
    return b"[%b]" % b",".join([_encode_job(request) for request in requests])


def _encode_job(request: EnqueueRequest) -> bytes:
    written = _as_members(request)
    if written is not None:
        return encode_json(written)
    return encode(request, job_id=request.job_id or new_job_id())


def _as_members(request: EnqueueRequest) -> dict[str, Any] | None:
    """Return the members that `encode` would write, or None if a field needs a conversion."""
    given = request.model_fields_set
    if not given <= _UNCONVERTED_OR_ID or isinstance(request.payload, RawJson):
        return None
    written: dict[str, Any] = {"job_id": request.job_id or new_job_id()}
    values = request.__dict__
    for name in _UNCONVERTED:
        if name in given and ((value := values[name]) is not None or name == "payload"):
            written[name] = value
    return written


def _requests_of(jobs: Sequence[EnqueueRequest | NewJob]) -> list[EnqueueRequest]:
    traceparent = current_traceparent()
    given = [job if isinstance(job, EnqueueRequest) else _members(job, traceparent) for job in jobs]
    try:
        return _requests().validate_python(given, extra="forbid")
    except ValidationError:
        return [_request_of(job, index) for index, job in enumerate(given)]


def _request_of(job: EnqueueRequest | dict[str, Any], index: int) -> EnqueueRequest:
    if isinstance(job, EnqueueRequest):
        return job
    try:
        return build(EnqueueRequest, job)
    except ValidationFailed as error:
        error.add_note(f"in jobs[{index}]")
        raise


def _members(options: EnqueueOptions | NewJob, traceparent: str | None) -> dict[str, Any]:
    """Return the options that are set. None means "not set", except for a payload."""
    members: dict[str, Any] = {
        name: value for name, value in options.items() if value is not None or name == "payload"
    }
    if members.get("payload") is NO_PAYLOAD:
        del members["payload"]
    tags = members.get("tags")
    if tags is not None and isinstance(tags, Mapping):
        members["tags"] = dict(tags)
    if traceparent is not None and "traceparent" not in members:
        members["traceparent"] = traceparent
    return members
