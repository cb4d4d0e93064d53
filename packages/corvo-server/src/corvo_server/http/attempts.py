"""Endpoints of workers: fetch, ack, fail, release, heartbeat."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from msgspec import Raw, Struct
from sanic import HTTPResponse, Request

from corvo_schema import (
    AckBatchReply,
    AckBatchRequest,
    AckReply,
    AckRequest,
    FailBatchReply,
    FailBatchRequest,
    FailReply,
    FailRequest,
    FetchBatchReply,
    FetchBatchRequest,
    FetchedJob,
    FetchRequest,
    HeartbeatReply,
    HeartbeatRequest,
    ReleaseBatchReply,
    ReleaseBatchRequest,
    ReleaseReply,
    ReleaseRequest,
)
from corvo_schema.errors import ErrorCode
from corvo_schema.states import JobState
from corvo_server.engine import lifecycle
from corvo_server.engine.attempts import Fail, Heartbeat, Release, leases_of
from corvo_server.engine.errors import CallError
from corvo_server.http import documents
from corvo_server.http.ack_body import read_ack, read_acks
from corvo_server.http.endpoint import WORK, Resource
from corvo_server.http.replies import no_content, reply
from corvo_server.http.request import (
    connection_of,
    engine_of,
    optional_document,
    parse_report,
    read_body,
    read_documents,
    shift_of,
)
from corvo_server.store.records import JobHead, LeasedJob, Outcome, Refusal

resource = Resource("attempts")

_NOTHING = Raw(b"")
_REFUSALS = (ErrorCode.NOT_FOUND, ErrorCode.INVALID_STATE, ErrorCode.LEASE_LOST)


class _CheckpointDocuments(Struct):
    checkpoint: Raw = _NOTHING


class _ReleaseBatchDocuments(Struct):
    releases: list[_CheckpointDocuments]


class _HeartbeatDocuments(Struct):
    jobs: dict[str, _CheckpointDocuments] | None = None


# Fetch


@resource.endpoint(
    "POST",
    "/fetch",
    roles=WORK,
    is_audited=False,
    request=FetchRequest,
    replies={200: FetchedJob, 204: None},
)
async def fetch(request: Request) -> HTTPResponse:
    """Fetch one job. Wait up to `timeout` for a job; answer 204 if none arrives."""
    body = read_body(request, FetchRequest)
    jobs = await _fetch(request, body, 1)
    if not _hand_out(request, jobs):
        return no_content()
    return reply(documents.leased_job(jobs[0], shift_of(request)))


@resource.endpoint(
    "POST",
    "/fetch/batch",
    roles=WORK,
    is_audited=False,
    request=FetchBatchRequest,
    replies={200: FetchBatchReply},
)
async def fetch_batch(request: Request) -> HTTPResponse:
    """Fetch up to `count` jobs. Wait up to `timeout` for the first; answer with an empty list.

    The reply has fewer jobs than are pending if their payloads, checkpoints and tags have more than
    `max_fetch_bytes` bytes together (a setting of the server). The other jobs stay pending.
    """
    body = read_body(request, FetchBatchRequest)
    jobs = await _fetch(request, body, body.count)
    if not _hand_out(request, jobs):
        jobs = []
    shift = shift_of(request)
    return reply({"jobs": [documents.leased_job(job, shift) for job in jobs]})


async def _fetch(request: Request, body: FetchRequest, count: int) -> list[LeasedJob]:
    """Fetch up to `count` jobs, while the client keeps its sending side open.

    Most clients that end it have gone away, so they get the reply that no job arrived.
    """
    connection = connection_of(request)
    if connection.has_ended():
        return []
    try:
        with connection.waiting():
            return await engine_of(request).attempts.fetch(body, count)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or not connection.has_ended() or request.transport.is_closing():
            raise
        task.uncancel()
        return []


def _hand_out(request: Request, jobs: Sequence[LeasedJob]) -> bool:
    """Return whether to reply with jobs. They go back at once if the client does not receive them.

    The reply must be the next one of the connection.
    """
    if not jobs:
        return False
    attempts = engine_of(request).attempts
    if request.transport.is_closing():
        attempts.give_back(jobs)
        return False
    leases = leases_of(jobs)
    connection_of(request).on_undelivered(partial(attempts.return_undelivered, leases))
    return True


# Ack


@resource.endpoint(
    "POST",
    "/ack/<job_id:str>",
    roles=WORK,
    is_report=True,
    is_audited=False,
    request=AckRequest,
    replies={200: AckReply},
    errors=_REFUSALS,
)
async def ack(request: Request, job_id: str) -> HTTPResponse:
    """Complete a job and store its result."""
    (outcome,) = await engine_of(request).attempts.ack([read_ack(request, job_id)])
    _head_of(outcome)
    return reply({"status": "ok"})


@resource.endpoint(
    "POST",
    "/ack/batch",
    roles=WORK,
    is_report=True,
    is_audited=False,
    request=AckBatchRequest,
    replies={200: AckBatchReply},
)
async def ack_batch(request: Request) -> HTTPResponse:
    """Complete many jobs. Each item succeeds or fails independently."""
    acks = read_acks(request)
    outcomes = await engine_of(request).attempts.ack(acks, at="acks[{}].")
    return _batch_reply(
        "acked", [item.job_id for item in acks], outcomes, lambda _: {"status": "ok"}
    )


# Fail


@resource.endpoint(
    "POST",
    "/fail/<job_id:str>",
    roles=WORK,
    is_report=True,
    is_audited=False,
    request=FailRequest,
    replies={200: FailReply},
    errors=_REFUSALS,
)
async def fail(request: Request, job_id: str) -> HTTPResponse:
    """Fail an attempt. The job is retried after its backoff, or becomes dead or cancelled."""
    item = read_body(request, FailRequest, parse_report)
    (outcome,) = await engine_of(request).attempts.fail([_failure(job_id, item)])
    return reply(_failed(shift_of(request), _head_of(outcome)))


@resource.endpoint(
    "POST",
    "/fail/batch",
    roles=WORK,
    is_report=True,
    is_audited=False,
    request=FailBatchRequest,
    replies={200: FailBatchReply},
)
async def fail_batch(request: Request) -> HTTPResponse:
    """Fail many attempts. Each item succeeds or fails independently."""
    items = read_body(request, FailBatchRequest, parse_report).fails
    outcomes = await engine_of(request).attempts.fail(
        [_failure(item.job_id, item) for item in items]
    )
    describe = partial(_failed, shift_of(request))
    return _batch_reply("failed", [item.job_id for item in items], outcomes, describe)


def _failure(job_id: str, item: FailRequest) -> Fail:
    return Fail(job_id, item.lease_token, item.error, item.backtrace, item.retry, item.cancel)


def _failed(shift: int, head: JobHead) -> dict[str, Any]:
    """Describe a failed job. After a repeated fail, the job may have left `retrying`."""
    if head.state in {JobState.DEAD, JobState.CANCELLED}:
        return {"status": head.state, "attempts_remaining": 0}
    body: dict[str, Any] = {
        "status": JobState.RETRYING,
        "attempts_remaining": lifecycle.attempts_remaining(head),
    }
    if head.scheduled_at is not None:
        body["next_attempt_at"] = documents.wall_time(head.scheduled_at, shift)
    return body


# Release


@resource.endpoint(
    "POST",
    "/release/<job_id:str>",
    roles=WORK,
    is_report=True,
    is_audited=False,
    request=ReleaseRequest,
    replies={200: ReleaseReply},
    errors=_REFUSALS,
)
async def release(request: Request, job_id: str) -> HTTPResponse:
    """Release a job, with an optional delay and checkpoint. The attempt does not count."""
    item = read_body(request, ReleaseRequest)
    checkpoint = optional_document(read_documents(request, _CheckpointDocuments).checkpoint)
    (outcome,) = await engine_of(request).attempts.release(
        [Release(job_id, item.lease_token, item.delay or 0, checkpoint)]
    )
    return reply(_released(shift_of(request), _head_of(outcome)))


@resource.endpoint(
    "POST",
    "/release/batch",
    roles=WORK,
    is_report=True,
    is_audited=False,
    request=ReleaseBatchRequest,
    replies={200: ReleaseBatchReply},
)
async def release_batch(request: Request) -> HTTPResponse:
    """Release many jobs. Each item succeeds or fails independently."""
    items = read_body(request, ReleaseBatchRequest).releases
    documents_of = read_documents(request, _ReleaseBatchDocuments).releases if items else []
    outcomes = await engine_of(request).attempts.release(
        [
            Release(
                item.job_id,
                item.lease_token,
                item.delay or 0,
                optional_document(texts.checkpoint),
            )
            for item, texts in zip(items, documents_of, strict=True)
        ],
        at="releases[{}].",
    )
    describe = partial(_released, shift_of(request))
    return _batch_reply("released", [item.job_id for item in items], outcomes, describe)


def _released(shift: int, head: JobHead) -> dict[str, Any]:
    if head.state.is_finished:
        return {"status": head.state}
    if head.state is JobState.SCHEDULED and head.scheduled_at is not None:
        return {"status": "released", "scheduled_at": documents.wall_time(head.scheduled_at, shift)}
    return {"status": "released"}


# Heartbeat


@resource.endpoint(
    "POST",
    "/heartbeat",
    roles=WORK,
    is_report=True,
    is_audited=False,
    request=HeartbeatRequest,
    replies={200: HeartbeatReply},
)
async def heartbeat(request: Request) -> HTTPResponse:
    """Extend the leases of jobs and store their progress. Return which jobs to stop."""
    beat = read_body(request, HeartbeatRequest)
    jobs = beat.jobs
    texts = read_documents(request, _HeartbeatDocuments).jobs or {}
    beats = [
        Heartbeat(
            job_id,
            item.lease_token,
            item.progress.model_dump_json(exclude_none=True) if item.progress else None,
            optional_document(texts[job_id].checkpoint),
        )
        for job_id, item in jobs.items()
    ]
    outcomes = await engine_of(request).attempts.heartbeat(
        beats, beat.worker_id, is_stopped=bool(beat.stopped)
    )
    return reply({"jobs": dict(zip(jobs, map(_job_reply, outcomes), strict=True))})


def _job_reply(outcome: Outcome) -> dict[str, str]:
    if isinstance(outcome, Refusal):
        return {"status": "cancel", "reason": _stop_reason(outcome)}
    if outcome.job.is_cancel_requested:
        return {"status": "cancel", "reason": "cancelled"}
    return {"status": "ok"}


def _stop_reason(refusal: Refusal) -> str:
    if refusal.code is ErrorCode.NOT_FOUND:
        return "not_found"
    if refusal.state is not None and refusal.state.is_finished:
        return "finished"
    return "lease_lost"


# Outcomes


def _head_of(outcome: Outcome) -> JobHead:
    if isinstance(outcome, Refusal):
        raise CallError.of(outcome)
    return outcome.job


def _batch_reply(
    counted_as: str,
    job_ids: Sequence[str],
    outcomes: Sequence[Outcome],
    describe: Callable[[JobHead], dict[str, Any]],
) -> HTTPResponse:
    """Return one result per item, in order, and the number of items that were not refused."""
    results: list[dict[str, Any]] = []
    done = 0
    for job_id, outcome in zip(job_ids, outcomes, strict=True):
        if isinstance(outcome, Refusal):
            result = {"status": "error", "code": outcome.code, "error": outcome.message}
        else:
            done += 1
            result = describe(outcome.job)
        results.append({"job_id": job_id, **result})
    return reply({counted_as: done, "results": results})
