"""Answer client calls from memory, like a server."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote

from pydantic import BaseModel
from pydantic_core import to_json

from corvo_client._answer import Answer
from corvo_client._call import API, Call
from corvo_client._errors import ApiError, make_error
from corvo_client.testing import _transitions
from corvo_client.testing._errors import invalid_state
from corvo_client.testing._schedules import ScheduleStore
from corvo_client.testing._store import JobStore
from corvo_schema import (
    BatchOptions,
    BulkGetReply,
    ConcurrencyRequest,
    EnqueueBatchReply,
    EnqueueRequest,
    ErrorCode,
    ErrorReply,
    EventType,
    Health,
    Job,
    JobState,
    QueueDefaultsRequest,
    QueueInfo,
    QueueStatusReply,
    Schedule,
    ScheduleRequest,
    ScheduleStatusReply,
    ServerInfo,
    StatusReply,
    ThrottleRequest,
    from_ms,
    rules,
)

MAX_PAYLOAD = 256 * 1024
"""Maximum size of a payload in bytes: the default of the server."""


_Reply = BaseModel | Sequence[BaseModel]


class NoServer(RuntimeError):
    """The call needs a real server. Use the fixture `corvo_server` or `LocalServer`."""


class MemoryServer:
    """Answers calls from a job store. Calls `on_cancel` if an active job is cancelled."""

    def __init__(self, store: JobStore, on_cancel: Callable[[Job], None]) -> None:
        self._store = store
        self._on_cancel = on_cancel
        self.schedules = ScheduleStore(store)
        self._queues = store.queues
        schedule, queue = f"{API}/schedules/([^/?]+)", f"{API}/queues/([^/?]+)"
        self._routes: list[tuple[str, re.Pattern[str], Callable[..., _Reply]]] = [
            ("GET", re.compile(f"{API}/schedules"), self._list_schedules),
            ("POST", re.compile(f"{API}/schedules"), self._put_schedule),
            ("GET", re.compile(rf"{schedule}(?:\?.*)?"), self.schedules.get),
            ("PUT", re.compile(schedule), self._replace_schedule),
            ("DELETE", re.compile(schedule), self._delete_schedule),
            ("POST", re.compile(f"{schedule}/(pause|resume)"), self._pause_schedule),
            ("POST", re.compile(f"{schedule}/run"), self._run_schedule),
            ("GET", re.compile(f"{API}/queues"), self._list_queues),
            ("GET", re.compile(queue), self._get_queue),
            ("DELETE", re.compile(rf"{queue}\?confirm=true"), self._delete_queue),
            ("POST", re.compile(f"{queue}/clear"), self._clear_queue),
            ("PUT", re.compile(f"{queue}/defaults"), self._set_defaults),
            ("DELETE", re.compile(f"{queue}/defaults"), self._clear_defaults),
            ("POST", re.compile(f"{queue}/(pause|resume|drain)"), self._pause_queue),
            ("POST", re.compile(f"{queue}/concurrency"), self._limit_queue),
            ("POST", re.compile(f"{queue}/throttle"), self._throttle_queue),
            ("DELETE", re.compile(f"{queue}/throttle"), self._unthrottle_queue),
            ("POST", re.compile(f"{API}/enqueue"), self._enqueue),
            ("POST", re.compile(f"{API}/enqueue/batch"), self._enqueue_batch),
            ("POST", re.compile(f"{API}/jobs/bulk-get"), self._bulk_get),
            ("GET", re.compile(f"{API}/jobs/([^/?]+)"), self._get_job),
            ("POST", re.compile(f"{API}/jobs/([^/?]+)/cancel"), self._cancel_job),
            ("GET", re.compile(f"{API}/batches/([^/?]+)"), self._get_batch),
            ("GET", re.compile(f"{API}/info"), self._info),
            ("GET", re.compile("/healthz|/readyz"), self._health),
        ]

    def answer(self, call: Call[Any]) -> Answer:
        """Return the answer to a call. Raises `NoServer` for a call that needs a real server."""
        for verb, path, route in self._routes:
            match = path.fullmatch(call.path)
            if match is not None and verb == call.verb:
                body = [json.loads(call.body)] if call.body is not None else []
                return self._reply(route, *map(unquote, match.groups()), *body)
        raise NoServer(
            f"{call.verb} {call.path}: this needs a server, but jobs are being recorded; "
            "use the fixture corvo_server, or corvo_client.testing.LocalServer"
        )

    def _reply(self, route: Callable[..., _Reply], *arguments: Any) -> Answer:
        try:
            with self._store.locked():
                return Answer(200, {}, to_json(route(*arguments)))
        except ApiError as error:
            reply = ErrorReply(error=str(error), code=error.code, request_id="recorded")
            return Answer(error.status, {}, to_json(reply))

    def _enqueue(self, body: dict[str, Any]) -> BaseModel:
        (reply,), _ = self._store.enqueue([_request(body, "payload")])
        return reply

    def _enqueue_batch(self, body: dict[str, Any]) -> BaseModel:
        jobs = [_request(job, f"jobs[{i}].payload") for i, job in enumerate(body["jobs"])]
        given = body.get("batch")
        options = None if given is None else BatchOptions.model_validate(given)
        replies, batch_id = self._store.enqueue(jobs, options)
        job_ids = [reply.job_id for reply in replies]
        return EnqueueBatchReply(job_ids=job_ids, batch_id=batch_id, results=replies)

    def _get_job(self, job_id: str) -> BaseModel:
        return self._store.get(job_id)

    def _bulk_get(self, body: dict[str, Any]) -> BaseModel:
        jobs = self._store.jobs
        return BulkGetReply(jobs=[jobs[job_id] for job_id in body["job_ids"] if job_id in jobs])

    def _cancel_job(self, job_id: str) -> BaseModel:
        job = self._store.get(job_id)
        if _transitions.cancel(self._store, job) is EventType.CANCELLED:
            return StatusReply(status="cancelled")
        self._on_cancel(job)
        return StatusReply(status="cancelling")

    def _get_batch(self, batch_id: str) -> BaseModel:
        return self._store.get_batch(batch_id)

    def _list_schedules(self) -> _Reply:
        return [schedule for _, schedule in sorted(self.schedules.schedules.items())]

    def _put_schedule(self, body: dict[str, Any]) -> Schedule:
        return self.schedules.put(_schedule_request(body))

    def _replace_schedule(self, reference: str, body: dict[str, Any]) -> Schedule:
        return self.schedules.replace(reference, _schedule_request(body))

    def _delete_schedule(self, reference: str) -> BaseModel:
        self.schedules.delete(reference)
        return ScheduleStatusReply(status="deleted")

    def _pause_schedule(self, reference: str, action: str) -> BaseModel:
        self.schedules.get(reference).paused = action == "pause"
        return ScheduleStatusReply(status=f"{action.removesuffix('e')}ed")

    def _run_schedule(self, reference: str) -> BaseModel:
        reply = self.schedules.run(reference)
        status = "duplicate" if reply.unique_existing else "enqueued"
        return ScheduleStatusReply(status=status, job_id=reply.job_id)

    def _list_queues(self) -> _Reply:
        queues = self._queues.list(self._store.jobs.values()).values()
        return [queue.model_copy(update={"defaults": None}) for queue in queues]

    def _get_queue(self, name: str) -> QueueInfo:
        return self._queues.get(name, self._store.jobs.values())

    def _clear_queue(self, name: str) -> BaseModel:
        self._get_queue(name)
        deleted = self._store.empty(name, rules.CLEARED_STATES)
        return QueueStatusReply(status="cleared", deleted=deleted)

    def _delete_queue(self, name: str) -> BaseModel:
        active = self._get_queue(name).active
        if active:
            raise invalid_state(rules.delete_queue_refusal(name, active))
        deleted = self._store.empty(name, tuple(JobState))
        # The callback of a batch that the deletion has ended is a newer job.
        has_newer = any(job.queue == name for job in self._store.jobs.values())
        self._queues.reset(name, is_kept=has_newer)
        return QueueStatusReply(status="deleted", deleted=deleted)

    def _set_defaults(self, name: str, body: dict[str, Any]) -> BaseModel:
        request = QueueDefaultsRequest.model_validate(body)
        self._queues.set_defaults(name, request, from_ms(self._store.clock()))
        return QueueStatusReply(status="ok")

    def _clear_defaults(self, name: str) -> BaseModel:
        return self._set_defaults(name, {})

    def _pause_queue(self, name: str, action: str) -> BaseModel:
        is_draining = action == "drain"
        self._queues.pause(name, is_paused=action != "resume", is_draining=is_draining)
        status = {"pause": "paused", "resume": "resumed", "drain": "draining"}[action]
        return QueueStatusReply(status=status)

    def _limit_queue(self, name: str, body: dict[str, Any]) -> BaseModel:
        self._queues.limit(name, ConcurrencyRequest.model_validate(body))
        return QueueStatusReply(status="ok")

    def _throttle_queue(self, name: str, body: dict[str, Any]) -> BaseModel:
        self._queues.throttle(name, ThrottleRequest.model_validate(body))
        return QueueStatusReply(status="ok")

    def _unthrottle_queue(self, name: str) -> BaseModel:
        self._queues.throttle(name, None)
        return QueueStatusReply(status="ok")

    def _info(self) -> BaseModel:
        return ServerInfo(server_version="recorded", api_version="1")

    def _health(self) -> BaseModel:
        return Health(status="ok")


def _schedule_request(body: dict[str, Any]) -> ScheduleRequest:
    _check_size("payload", body.get("payload"))
    return ScheduleRequest.model_validate(body)


def _request(body: dict[str, Any], field: str) -> EnqueueRequest:
    _check_size(field, body.get("payload"))
    return EnqueueRequest.model_validate(body)


def _check_size(field: str, payload: Any) -> None:
    size = len(to_json(payload))
    if size > MAX_PAYLOAD:
        raise make_error(
            f"{field} has {size} bytes, the limit is {MAX_PAYLOAD}",
            code=ErrorCode.PAYLOAD_TOO_LARGE,
            status=413,
        )
