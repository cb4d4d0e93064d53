"""Read the bodies of enqueues.

Most jobs have a payload and no options. msgspec reads such a body into plain records, at a third of
the cost of the models. The models read every other body, and produce the errors of invalid ones.
"""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Raw, Struct
from sanic import Request

from corvo_schema import (
    MAX_BATCH_JOBS,
    EnqueueBatchRequest,
    EnqueueRequest,
    is_job_id,
    is_queue_name,
    is_traceparent,
)
from corvo_server.engine.jobs import PlainBatch, PlainJob
from corvo_server.http.body import document, read_body, read_documents, read_plain

_NOTHING = Raw(b"")


class _PlainJob(PlainJob, forbid_unknown_fields=True):
    payload: Raw = _NOTHING


class _PlainBatch(PlainBatch, forbid_unknown_fields=True):
    jobs: Annotated[list[_PlainJob], Meta(min_length=1, max_length=MAX_BATCH_JOBS)]


class _JobDocuments(Struct):
    payload: Raw = _NOTHING


class _CallbackDocuments(Struct):
    callback_payload: Raw = _NOTHING


class _BatchDocuments(Struct):
    jobs: list[_JobDocuments]
    batch: _CallbackDocuments | None = None


class Batch(Struct):
    """A request to enqueue many jobs. Documents are JSON text; None if absent."""

    request: EnqueueBatchRequest | PlainBatch
    payloads: list[bytes | None]
    callback_payload: bytes | None = None


def read_job(request: Request) -> tuple[EnqueueRequest | PlainJob, bytes | None]:
    """Return a job and its payload as JSON text (None if absent). Raise `CallError`."""
    trace = _trace_of(request)
    plain = read_plain(request, _PlainJob) if trace is None else None
    if plain is not None and _are_valid([plain]):
        return plain, document(plain.payload)
    job = read_body(request, EnqueueRequest)
    job.traceparent = job.traceparent or trace
    return job, document(read_documents(request, _JobDocuments).payload)


def read_batch(request: Request) -> Batch:
    """Return a batch of jobs with their payloads. Raise `CallError`."""
    trace = _trace_of(request)
    plain = read_plain(request, _PlainBatch) if trace is None else None
    if plain is not None and _are_valid(plain.jobs):
        return Batch(plain, [document(job.payload) for job in plain.jobs])
    batch = read_body(request, EnqueueBatchRequest)
    for job in batch.jobs:
        job.traceparent = job.traceparent or trace
    documents = read_documents(request, _BatchDocuments)
    return Batch(
        batch,
        [document(job.payload) for job in documents.jobs],
        document(documents.batch.callback_payload) if documents.batch else None,
    )


def _trace_of(request: Request) -> str | None:
    """Return the request's `traceparent`, the default of its jobs; None if absent or malformed."""
    traceparent: str | None = request.headers.getone("traceparent", None)
    return traceparent if traceparent is not None and is_traceparent(traceparent) else None


def _are_valid(jobs: Sequence[PlainJob]) -> bool:
    """Return whether the names of the queues and the ids of the jobs are valid."""
    return all(map(is_queue_name, {job.queue for job in jobs})) and all(
        is_job_id(job.job_id) for job in jobs if job.job_id is not None
    )
