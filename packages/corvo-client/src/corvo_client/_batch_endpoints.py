"""Batch endpoints: each accepts many calls of one kind in one request."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from corvo_client._call import API, BatchEndpoint
from corvo_client._codec import reader
from corvo_client._errors import ApiError, make_error
from corvo_schema import (
    MAX_BATCH_JOBS,
    MAX_BATCH_OUTCOMES,
    AckBatchReply,
    EnqueueBatchReply,
    EnqueueReply,
    ErrorCode,
    FailBatchReply,
    FailReply,
    ReleaseBatchReply,
    ReleaseReply,
)


class _Result(Protocol):
    """Common fields of the results of ack, fail and release."""

    @property
    def status(self) -> str: ...
    @property
    def code(self) -> str | None: ...
    @property
    def error(self) -> str | None: ...


T = TypeVar("T", bound=_Result)

read_enqueues = reader(EnqueueBatchReply)
read_acks = reader(AckBatchReply)
read_fails = reader(FailBatchReply)
read_releases = reader(ReleaseBatchReply)


def _enqueued(body: bytes) -> list[EnqueueReply | ApiError]:
    return list(read_enqueues(body).results)


def _acked(body: bytes) -> list[ApiError | None]:
    return [_error_of(result) for result in read_acks(body).results]


def _failed(body: bytes) -> list[FailReply | ApiError]:
    return [*_results_or_errors(read_fails(body).results)]


def _released(body: bytes) -> list[ReleaseReply | ApiError]:
    return [*_results_or_errors(read_releases(body).results)]


def _results_or_errors(results: Sequence[T]) -> list[T | ApiError]:
    return [_error_of(result) or result for result in results]


def _error_of(result: _Result) -> ApiError | None:
    if result.status != "error":
        return None
    code = result.code or ""
    known = ErrorCode.__members__.get(code, ErrorCode.INTERNAL_ERROR)
    return make_error(result.error or code, code=code, status=known.http_status)


ENQUEUES = BatchEndpoint(f"{API}/enqueue/batch", "jobs", MAX_BATCH_JOBS, _enqueued)
ACKS = BatchEndpoint(f"{API}/ack/batch", "acks", MAX_BATCH_OUTCOMES, _acked)
FAILS = BatchEndpoint(f"{API}/fail/batch", "fails", MAX_BATCH_OUTCOMES, _failed)
RELEASES = BatchEndpoint(f"{API}/release/batch", "releases", MAX_BATCH_OUTCOMES, _released)
