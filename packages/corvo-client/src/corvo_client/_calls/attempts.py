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
    RequestModel,
    Seconds,
)

AnyJob = FetchedJob | str
"""A fetched job or its id."""

R = TypeVar("R")


class _Delay(RequestModel):
    """The delay of a release in seconds; the wire takes it as a duration only."""

    delay: Seconds


_read_job = reader(FetchedJob)
_read_jobs = reader(FetchBatchReply)
_read_fail = reader(FailReply)
_read_release = reader(ReleaseReply)
_read_heartbeat = reader(HeartbeatReply)


def _read_job_if_any(body: bytes) -> FetchedJob | None:
    return _read_job(body) if body else None


def fetch(members: dict[str, Any]) -> Call[FetchedJob | None]:
    """Return the call that fetches the next job, fenced. Its result is None if there is no job."""
    request = build(FetchRequest, {**members, "fenced": True})
    return Call(
        "POST",
        f"{API}/fetch",
        _read_job_if_any,
        encode(request),
        waits=request.timeout / 1000,
    )


def fetch_batch(members: dict[str, Any]) -> Call[FetchBatchReply]:
    """Return the call that fetches the next jobs, fenced."""
    request = build(FetchBatchRequest, {**members, "fenced": True})
    return Call(
        "POST",
        f"{API}/fetch/batch",
        _read_jobs,
        encode(request),
        waits=request.timeout / 1000,
    )


def ack(job: AnyJob, members: dict[str, Any]) -> Call[None]:
    """Return the call that acks a job."""
    job_id, members = _with_lease_token(job, members)
    body = encode(build(AckRequest, members))
    call = Call("POST", f"{API}/ack/{segment(job_id)}", read_nothing, body)
    if "lease_token" in members:
        call.repeatable, call.batch_endpoint, call.item = True, ACKS, _item(job_id, body)
    return call


def ack_batch(acks: Iterable[AckItem]) -> Call[AckBatchReply]:
    """Return the call that acks many jobs."""
    return _batch(ACKS.path, ACKS.member, acks, read_acks)


def fail(job: AnyJob, error: str | BaseException, members: dict[str, Any]) -> Call[FailReply]:
    """Return the call that fails an attempt. An exception gives its text and its backtrace."""
    job_id, members = _with_lease_token(job, members)
    if isinstance(error, BaseException):
        members.setdefault("backtrace", "".join(traceback.format_exception(error)))
        error = "".join(traceback.format_exception_only(error)).strip()
    body = encode(build(FailRequest, {**members, "error": error}))
    call = Call("POST", f"{API}/fail/{segment(job_id)}", _read_fail, body)
    if "lease_token" in members:
        call.repeatable, call.batch_endpoint, call.item = True, FAILS, _item(job_id, body)
    return call


def fail_batch(fails: Iterable[FailItem]) -> Call[FailBatchReply]:
    """Return the call that fails many attempts."""
    return _batch(FAILS.path, FAILS.member, fails, read_fails)


def release(job: AnyJob, members: dict[str, Any]) -> Call[ReleaseReply]:
    """Return the call that releases a job."""
    job_id, members = _with_lease_token(job, members)
    if isinstance(members.get("delay"), int | float):
        ms = build(_Delay, {"delay": members["delay"]}).delay
        members["delay"] = timedelta(milliseconds=ms)
    body = encode(build(ReleaseRequest, members))
    call = Call("POST", f"{API}/release/{segment(job_id)}", _read_release, body)
    if "lease_token" in members:
        call.repeatable, call.batch_endpoint, call.item = True, RELEASES, _item(job_id, body)
    return call


def release_batch(releases: Iterable[ReleaseItem]) -> Call[ReleaseBatchReply]:
    """Return the call that releases many jobs."""
    return _batch(RELEASES.path, RELEASES.member, releases, read_releases)


def heartbeat(
    jobs: Mapping[str, HeartbeatJob], worker_id: str | None, *, stopped: bool | None = None
) -> Call[HeartbeatReply]:
    """Return the call that extends the leases of jobs. `stopped`: the worker has ended."""
    head = encode(build(HeartbeatRequest, {"worker_id": worker_id, "stopped": stopped}))
    beats = b",".join([b"%b:%b" % (encode_json(key), encode(beat)) for key, beat in jobs.items()])
    body = b'%b"jobs":{%b}}' % (head[:-1] + (b"," if len(head) > 2 else b""), beats)
    return Call("POST", f"{API}/heartbeat", _read_heartbeat, body, repeatable=True)


def _with_lease_token(job: AnyJob, members: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the id of the job, and the given members with its lease token as the default."""
    if isinstance(job, str):
        job_id, token = job, None
    else:
        job_id, token = job.job_id, job.lease_token
    members = {name: value for name, value in members.items() if value is not None}
    if token is not None:
        members.setdefault("lease_token", token)
    return job_id, members


def _item(job_id: str, body: bytes) -> bytes:
    """Return an item of a batch: the body of a single call, and the job id."""
    head = b'{"job_id":%b' % encode_json(job_id)
    return head + b"}" if body == b"{}" else b"%b,%b" % (head, body[1:])


def _batch(
    path: str,
    member: str,
    items: Iterable[AckItem | FailItem | ReleaseItem],
    read: Callable[[bytes], R],
) -> Call[R]:
    item_list = list(items)
    if len(item_list) > MAX_BATCH_OUTCOMES:
        raise invalid(
            f"{member}: a batch has at most {MAX_BATCH_OUTCOMES} items, not {len(item_list)}"
        )
    body = b'{"%b":[%b]}' % (member.encode(), b",".join([encode(item) for item in item_list]))
    # Without a lease token, a repeated item could end a later attempt of the job.
    repeatable = all(item.lease_token is not None for item in item_list)
    return Call("POST", path, read, body, repeatable=repeatable)
