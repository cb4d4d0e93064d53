"""What the bodies of enqueues say.

Most jobs have a payload and no options. Such a body is read in one go into plain records, for a
third of what the models cost; any other, and any that is wrong, is read by the models.
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
    """A request for many jobs. Documents are JSON text; None where there was none."""

    request: EnqueueBatchRequest | PlainBatch
    payloads: list[bytes | None]
    callback_payload: bytes | None = None


def read_job(request: Request) -> tuple[EnqueueRequest | PlainJob, bytes | None]:
    """One job and its payload, as JSON text."""
    trace = _trace_of(request)
    plain = read_plain(request, _PlainJob) if trace is None else None
    if plain is not None and _are_valid([plain]):
        return plain, document(plain.payload)
    job = read_body(request, EnqueueRequest)
    job.traceparent = job.traceparent or trace
    return job, document(read_documents(request, _JobDocuments).payload)


def read_batch(request: Request) -> Batch:
    """Many jobs."""
    trace = _trace_of(request)
    plain = read_plain(request, _PlainBatch) if trace is None else None
    if plain is not None and _are_valid(plain.jobs):
        return Batch(plain, [document(job.payload) for job in plain.jobs])
    batch = read_body(request, EnqueueBatchRequest)
    for job in batch.jobs:
        job.traceparent = job.traceparent or trace
    kept = read_documents(request, _BatchDocuments)
    return Batch(
        batch,
        [document(job.payload) for job in kept.jobs],
        document(kept.batch.callback_payload) if kept.batch else None,
    )


def _trace_of(request: Request) -> str | None:
    """The span that the request is part of: jobs that name none belong to that."""
    traceparent: str | None = request.headers.getone("traceparent", None)
    return traceparent if traceparent is not None and is_traceparent(traceparent) else None


def _are_valid(jobs: Sequence[PlainJob]) -> bool:
    """Whether names and ids are such. If not, the models tell what is wrong."""
    return all(map(is_queue_name, {job.queue for job in jobs})) and all(
        is_job_id(job.job_id) for job in jobs if job.job_id is not None
    )
