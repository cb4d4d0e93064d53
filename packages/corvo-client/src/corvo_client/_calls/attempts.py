"""Calls of workers: fetch, ack, fail, release, heartbeat."""

import traceback
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from corvo_client._batch_endpoints import (
    ACKS,
    FAILS,
    RELEASES,
    read_acks,
    read_fails,
    read_releases,
)
from corvo_client._call import API, Call
from corvo_client._codec import (
    build,
    encode,
    encode_json,
    invalid,
    read_nothing,
    reader,
    segment,
)
from corvo_schema import (
    MAX_BATCH_OUTCOMES,
    AckBatchReply,
    AckItem,
    AckRequest,
    FailBatchReply,
    FailItem,
    FailReply,
    FailRequest,
    FetchBatchReply,
    FetchBatchRequest,
    FetchedJob,
    FetchRequest,
    HeartbeatJob,
    HeartbeatReply,
    HeartbeatRequest,
    ReleaseBatchReply,
    ReleaseItem,
    ReleaseReply,
    ReleaseRequest,
)

AnyJob = FetchedJob | str
"""A job as it was fetched, or its id."""

R = TypeVar("R")

_read_job = reader(FetchedJob)
_read_jobs = reader(FetchBatchReply)
_read_fail = reader(FailReply)
_read_release = reader(ReleaseReply)
_read_heartbeat = reader(HeartbeatReply)


def _read_job_if_any(body: bytes) -> FetchedJob | None:
    return _read_job(body) if body else None


def fetch(members: dict[str, Any]) -> Call[FetchedJob | None]:
    """Ask for the next job; the answer is empty when there is none. The attempt is fenced."""
    request = build(FetchRequest, {**members, "fenced": True})
    return Call(
        "POST",
        f"{API}/fetch",
        _read_job_if_any,
        encode(request),
        waits=request.timeout / 1000,
    )


def fetch_batch(members: dict[str, Any]) -> Call[FetchBatchReply]:
    """Ask for the next jobs. Their attempts are fenced."""
    request = build(FetchBatchRequest, {**members, "fenced": True})
    return Call(
        "POST",
        f"{API}/fetch/batch",
        _read_jobs,
        encode(request),
        waits=request.timeout / 1000,
    )


def ack(job: AnyJob, members: dict[str, Any]) -> Call[None]:
    """Report a job as done."""
    job_id, members = _held(job, members)
    body = encode(build(AckRequest, members))
    call = Call("POST", f"{API}/ack/{segment(job_id)}", read_nothing, body)
    if "lease_token" in members:
        call.repeatable, call.batch_endpoint, call.item = True, ACKS, _item(job_id, body)
    return call


def ack_batch(acks: Iterable[AckItem]) -> Call[AckBatchReply]:
    """Report many jobs as done."""
    return _batch(ACKS.path, ACKS.member, acks, read_acks)


def fail(job: AnyJob, error: str | BaseException, members: dict[str, Any]) -> Call[FailReply]:
    """Report an attempt as failed. Of an exception the text is taken, and the backtrace."""
    job_id, members = _held(job, members)
    if isinstance(error, BaseException):
        members.setdefault("backtrace", "".join(traceback.format_exception(error)))
        error = "".join(traceback.format_exception_only(error)).strip()
    body = encode(build(FailRequest, {**members, "error": error}))
    call = Call("POST", f"{API}/fail/{segment(job_id)}", _read_fail, body)
    if "lease_token" in members:
        call.repeatable, call.batch_endpoint, call.item = True, FAILS, _item(job_id, body)
    return call


def fail_batch(fails: Iterable[FailItem]) -> Call[FailBatchReply]:
    """Report many attempts as failed."""
    return _batch(FAILS.path, FAILS.member, fails, read_fails)


def release(job: AnyJob, members: dict[str, Any]) -> Call[ReleaseReply]:
    """Give a job back."""
    job_id, members = _held(job, members)
    if isinstance(members.get("delay"), int | float):
        members["delay"] = timedelta(seconds=members["delay"])
    body = encode(build(ReleaseRequest, members))
    call = Call("POST", f"{API}/release/{segment(job_id)}", _read_release, body)
    if "lease_token" in members:
        call.repeatable, call.batch_endpoint, call.item = True, RELEASES, _item(job_id, body)
    return call


def release_batch(releases: Iterable[ReleaseItem]) -> Call[ReleaseBatchReply]:
    """Give many jobs back."""
    return _batch(RELEASES.path, RELEASES.member, releases, read_releases)


def heartbeat(jobs: Mapping[str, HeartbeatJob], worker_id: str | None) -> Call[HeartbeatReply]:
    """Extend the leases of jobs."""
    head = encode(build(HeartbeatRequest, {"worker_id": worker_id}))
    beats = b",".join([b"%b:%b" % (encode_json(key), encode(beat)) for key, beat in jobs.items()])
    body = b'%b"jobs":{%b}}' % (head[:-1] + (b"," if len(head) > 2 else b""), beats)
    return Call("POST", f"{API}/heartbeat", _read_heartbeat, body, repeatable=True)


def _held(job: AnyJob, members: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the job's id, and the members with its lease token unless another is given."""
    if isinstance(job, str):
        job_id, token = job, None
    else:
        job_id, token = job.job_id, job.lease_token
    members = {name: value for name, value in members.items() if value is not None}
    if token is not None:
        members.setdefault("lease_token", token)
    return job_id, members


def _item(job_id: str, body: bytes) -> bytes:
    """Turn the body of a single call, an object, into an item of a batch."""
    head = b'{"job_id":%b' % encode_json(job_id)
    return head + b"}" if body == b"{}" else b"%b,%b" % (head, body[1:])


def _batch(
    path: str,
    member: str,
    items: Iterable[AckItem | FailItem | ReleaseItem],
    read: Callable[[bytes], R],
) -> Call[R]:
    listed = list(items)
    if len(listed) > MAX_BATCH_OUTCOMES:
        raise invalid(f"{member}: at most {MAX_BATCH_OUTCOMES} at a time, not {len(listed)}")
    body = b'{"%b":[%b]}' % (member.encode(), b",".join([encode(item) for item in listed]))
    # Without its token an outcome may meet a later attempt of the job when it is sent again.
    repeatable = all(item.lease_token is not None for item in listed)
    return Call("POST", path, read, body, repeatable=repeatable)
