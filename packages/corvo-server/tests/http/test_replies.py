"""Every reply of every endpoint matches its model: no other fields and no other types."""

import asyncio
import re
from collections.abc import Callable, Coroutine, Mapping
from string import Template
from typing import Any, NamedTuple
from uuid import uuid4

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel, TypeAdapter

from corvo_schema import (
    ApiKey,
    ApiKeyRequest,
    AuthStatus,
    Batch,
    BulkOperation,
    ErrorReply,
    FetchedJob,
    Job,
    JobError,
    JobEvent,
    QueueInfo,
    Schedule,
    Webhook,
    WebhookRequest,
    WebhookSource,
    WebhookSourceRequest,
    WorkerInfo,
)
from corvo_schema.errors import ErrorCode
from corvo_schema.states import JobState
from corvo_server.app import RESOURCES
from corvo_server.engine import bulk
from corvo_server.http.endpoint import EVENT_STREAM, JSON, Endpoint
from server_support.bench import Bench, make_job
from server_support.http import API, HttpServer, Reply, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

E = ErrorCode
ENDPOINTS = {
    (endpoint.method, re.sub(r"<\w+:\w+>", "*", endpoint.path).removeprefix(API)): endpoint
    for resource in RESOURCES
    for endpoint in resource.endpoints
}
WHOLE = (
    *(Job, JobError, JobEvent, FetchedJob, Batch, BulkOperation, QueueInfo, Schedule, WorkerInfo),
    *(ApiKey, AuthStatus, Webhook, WebhookSource),
)
"""Models whose every field must be in the replies."""


class Call(NamedTuple):
    """A call and the expected status. `$dead` in path or body becomes the id of a dead job, etc."""

    status: int
    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] | None = None

    @property
    def endpoint(self) -> Endpoint:
        """Entry of the call in the table of endpoints."""
        path = re.sub(r"\$\w+", "*", self.path.partition("?")[0])
        return ENDPOINTS[self.method, path]

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status}"


class Refused(NamedTuple):
    """A call and the expected error code."""

    code: ErrorCode
    method: str
    path: str
    body: Any = None

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.code}"


FETCH = {"queues": ["$filled"], "worker_id": "w", "timeout": 0}
HOOK = "https://receiver.example/"
DELIVERY = {"x-webhook-token": "t" * 16, "webhook-id": "1"}
SCHEDULE = {"name": "$new", "queue": "$new", "cron": "@daily", "tags": {"a": "b"}, "payload": [1]}
PROGRESS = {"current": 1, "total": 2.5, "message": "half"}

CALLS = [
    # Enqueue
    Call(201, "POST", "/enqueue", {"queue": "$new"}),
    Call(201, "POST", "/enqueue", {"queue": "$new", "delay": 60}),
    Call(200, "POST", "/enqueue", {"queue": "$unique", "unique_key": "k"}),
    Call(200, "POST", "/enqueue", {"queue": "known", "job_id": "$known"}),
    Call(201, "POST", "/enqueue/batch", {"jobs": [{"queue": "$new"}, {"queue": "$new"}]}),
    Call(
        201,
        "POST",
        "/enqueue/batch",
        {"jobs": [{"queue": "$new"}], "batch": {"callback_queue": "$new"}},
    ),
    Call(200, "GET", "/batches"),
    Call(200, "GET", "/batches?state=finished&limit=1"),
    Call(200, "GET", "/batches/$batch"),
    Call(200, "GET", "/batches/$ended_batch"),
    # Work
    Call(200, "POST", "/fetch", FETCH),
    Call(204, "POST", "/fetch", {**FETCH, "queues": ["$new"]}),
    Call(200, "POST", "/fetch/batch", {**FETCH, "count": 10, "lease_duration": 90}),
    Call(200, "POST", "/fetch/batch", {**FETCH, "queues": ["$new"]}),
    Call(200, "POST", "/ack/$active", {"result": [1]}),
    Call(200, "POST", "/ack/batch", {"acks": [{"job_id": "$active"}, {"job_id": "$nobody"}]}),
    Call(200, "POST", "/ack/batch", {"acks": []}),
    Call(200, "POST", "/fail/$active", {"error": "x"}),
    Call(200, "POST", "/fail/$active", {"error": "x", "retry": False}),
    Call(200, "POST", "/fail/$active", {"error": "x", "cancel": True}),
    Call(
        200,
        "POST",
        "/fail/batch",
        {"fails": [{"job_id": id_, "error": "x"} for id_ in ("$active", "$nobody")]},
    ),
    Call(200, "POST", "/release/$active"),
    Call(200, "POST", "/release/$active", {"delay": "1h"}),
    Call(200, "POST", "/release/$cancelling"),
    Call(
        200,
        "POST",
        "/release/batch",
        {"releases": [{"job_id": "$active", "delay": "1s"}, {"job_id": "$nobody"}]},
    ),
    Call(
        200,
        "POST",
        "/heartbeat",
        {"jobs": {"$active": {"progress": PROGRESS}, "$cancelling": {}, "$nobody": {}}},
    ),
    Call(200, "POST", "/heartbeat", {"jobs": {"$completed": {}}}),
    # Jobs
    *(Call(200, "GET", f"/jobs/${state}") for state in (*JobState, "cancelling")),
    Call(200, "POST", "/jobs/bulk-get", {"job_ids": ["$dead", "$nobody", "$active"]}),
    Call(200, "POST", "/jobs/search", {"queue": "$all"}),
    Call(200, "POST", "/jobs/search", {"queue": "$all", "limit": 1}),
    Call(200, "POST", "/jobs/$pending/cancel"),
    Call(200, "POST", "/jobs/$active/cancel"),
    Call(200, "POST", "/jobs/$dead/retry"),
    Call(200, "POST", "/jobs/$dead/requeue"),
    Call(200, "POST", "/jobs/$pending/move", {"queue": "$new"}),
    Call(200, "POST", "/jobs/$pending/priority", {"priority": "high"}),
    Call(200, "DELETE", "/jobs/$pending"),
    # Many jobs
    Call(200, "POST", "/jobs/bulk", {"job_ids": ["$dead", "$active"], "action": "retry"}),
    Call(202, "POST", "/jobs/bulk", {"job_ids": ["$dead"], "action": "retry", "async": True}),
    Call(200, "GET", "/bulk"),
    Call(200, "GET", "/bulk/$bulk"),
    Call(200, "GET", "/bulk/$ended_bulk"),
    Call(200, "GET", "/bulk/$bulk/progress"),
    Call(200, "POST", "/bulk/$bulk/cancel"),
    # Queues
    Call(200, "GET", "/queues"),
    Call(200, "GET", "/queues/$all"),
    Call(200, "GET", "/queues/$limited"),
    *(Call(200, "POST", f"/queues/$all/{verb}") for verb in ("pause", "resume", "drain", "clear")),
    Call(200, "POST", "/queues/$new/concurrency", {"max": 5, "per_key": 1}),
    Call(200, "POST", "/queues/$new/throttle", {"rate": 5, "period": "1m"}),
    Call(200, "DELETE", "/queues/$limited/throttle"),
    Call(200, "PUT", "/queues/$new/defaults", {"max_retries": 5, "tags": {"team": "mail"}}),
    Call(200, "DELETE", "/queues/$limited/defaults"),
    Call(200, "DELETE", "/queues/$filled?confirm=true"),
    Call(202, "POST", "/queues/$large/clear"),
    Call(202, "DELETE", "/queues/$large?confirm=true"),
    # Schedules
    Call(201, "POST", "/schedules", {**SCHEDULE, "unique_key": "k", "unique_period": "90s"}),
    Call(200, "POST", "/schedules", {**SCHEDULE, "name": "$schedule"}),
    Call(200, "GET", "/schedules"),
    Call(200, "GET", "/schedules/$schedule?upcoming=3"),
    Call(200, "PUT", "/schedules/$schedule", SCHEDULE),
    *(Call(200, "POST", f"/schedules/$schedule/{verb}") for verb in ("pause", "resume", "run")),
    Call(200, "DELETE", "/schedules/$schedule"),
    # Keys
    Call(200, "GET", "/auth/status"),
    Call(200, "GET", "/auth/keys"),
    Call(201, "POST", "/auth/keys", {"name": "$new", "roles": ["worker"], "queues": ["a.*"]}),
    Call(201, "POST", "/auth/keys/$key/rotate", {"grace": "1d"}),
    Call(200, "DELETE", "/auth/keys/$key"),
    # The audit log
    Call(200, "GET", "/audit?since=1d&limit=1"),
    # Webhooks
    Call(201, "POST", "/webhooks", {"name": "$new", "url": HOOK, "queues": ["a.*"]}),
    Call(200, "GET", "/webhooks"),
    Call(200, "PUT", "/webhooks/$webhook", {"url": HOOK, "types": ["dead"], "tags": {"a": "b"}}),
    Call(200, "POST", "/webhooks/$webhook/rotate", {"grace": "1d"}),
    Call(200, "DELETE", "/webhooks/$webhook"),
    Call(201, "POST", "/webhooks/$received", {"a": 1}, DELIVERY),
    Call(200, "POST", "/webhooks/$repeated", {"a": 1}, DELIVERY),
    Call(201, "POST", "/webhook-sources", {"name": "$new", "queue": "a", "form": "github"}),
    Call(200, "GET", "/webhook-sources"),
    Call(200, "POST", "/webhook-sources/$source/rotate", {"grace": "1d"}),
    Call(200, "DELETE", "/webhook-sources/$source"),
    # The server
    Call(200, "GET", "/events?last_event_id=0&job_ids=$dead"),
    Call(200, "GET", "/metrics"),
    Call(200, "GET", "/workers"),
    Call(200, "GET", "/workers/$worker"),
    Call(200, "GET", "/cluster/status"),
    Call(200, "GET", "/info"),
    Call(200, "GET", "/healthz"),
    Call(200, "GET", "/readyz"),
    Call(200, "GET", "/openapi.json"),
    Call(200, "GET", "/docs"),
]

REFUSED = [
    Refused(E.PARSE_ERROR, "POST", "/enqueue", b"{"),
    Refused(E.VALIDATION_ERROR, "POST", "/enqueue", {"queue": 5, "max_retries": -1}),
    Refused(E.VALIDATION_ERROR, "DELETE", "/queues/$all"),
    Refused(E.NOT_FOUND, "GET", "/jobs/$nobody"),
    Refused(E.NOT_FOUND, "GET", "/nothing"),
    Refused(E.METHOD_NOT_ALLOWED, "PUT", "/enqueue"),
    Refused(E.INVALID_STATE, "POST", "/ack/$dead"),
    Refused(E.INVALID_STATE, "POST", "/enqueue", {"queue": "elsewhere", "job_id": "$dead"}),
    Refused(E.INVALID_STATE, "POST", "/auth/keys/$ended_key/rotate"),
    Refused(E.NOT_FOUND, "DELETE", "/auth/keys/$new"),
    Refused(E.NOT_FOUND, "DELETE", "/webhooks/$new"),
    Refused(E.INVALID_STATE, "POST", "/webhooks", {"name": "$webhook", "url": HOOK}),
    Refused(E.UNAUTHORIZED, "POST", "/webhooks/$new", {}),
    Refused(E.LEASE_LOST, "POST", "/ack/$active", {"lease_token": "another"}),
    Refused(E.PAYLOAD_TOO_LARGE, "POST", "/enqueue", {"queue": "q", "payload": "x" * 300_000}),
]


class World:
    """Creates the objects that the calls refer to."""

    def __init__(self, bench: Bench, server: HttpServer) -> None:
        self._bench = bench
        self._server = server

    async def fill(self, call: Call | Refused) -> tuple[str, Any]:
        """Return path and body of a call after creating the objects that they refer to."""
        await self._server.require_keys()
        if isinstance(call.body, bytes):
            return call.path, call.body
        body = None if call.body is None else orjson.dumps(call.body).decode()
        names = dict.fromkeys(re.findall(r"\$(\w+)", f"{call.path} {body}"))
        made = {name: await self.make(name) for name in names}
        path = Template(call.path).substitute(made)
        return path, None if body is None else Template(body).substitute(made).encode()

    async def make(self, name: str) -> str:
        """Create an object of the kind `name`. Return its id or name."""
        if name in {*JobState}:
            return await self._job(JobState(name), new_name())
        makers: dict[str, Callable[[], Coroutine[Any, Any, str]]] = {
            "new": self._new,
            "known": self._known,
            "nobody": self._nobody,
            "cancelling": self._cancelling,
            "unique": self._unique,
            "filled": self._filled,
            "large": self._large,
            "all": self._all,
            "limited": self._limited,
            "batch": self._batch,
            "ended_batch": self._ended_batch,
            "bulk": self._bulk,
            "ended_bulk": self._ended_bulk,
            "schedule": self._schedule,
            "worker": self._worker,
            "key": self._key,
            "ended_key": self._ended_key,
            "webhook": self._webhook,
            "source": self._source,
            "received": self._received,
            "repeated": self._repeated,
        }
        return await makers[name]()

    async def _new(self) -> str:
        return new_name()

    async def _key(self) -> str:
        request = ApiKeyRequest.model_validate(
            {"name": new_name(), "roles": ["readonly"], "expires_after": "1d"}
        )
        record, _ = await self._bench.engine.keys.create(request)
        return record.id

    async def _ended_key(self) -> str:
        key_id = await self._key()
        await self._bench.engine.keys.revoke(key_id)
        return key_id

    async def _webhook(self) -> str:
        request = WebhookRequest.model_validate({"name": new_name(), "url": HOOK})
        return (await self._bench.engine.webhooks.create(request)).name

    async def _source(self) -> str:
        request = WebhookSourceRequest.model_validate({"name": new_name(), "queue": "a"})
        return (await self._bench.engine.webhook_sources.create(request)).name

    async def _received(self) -> str:
        queue, secret = new_name(), DELIVERY["x-webhook-token"]
        source = {"name": new_name(), "queue": queue, "form": "token", "secret": secret}
        assert (await self._server.post("/webhook-sources", source)).status == 201
        return queue

    async def _repeated(self) -> str:
        queue = await self._received()
        await self._server.post(f"/webhooks/{queue}", {"a": 1}, headers=DELIVERY)
        return queue

    async def _worker(self) -> str:
        worker_id = new_name()
        fetch = {"queues": [await self._filled()], "worker_id": worker_id, "timeout": 0}
        await self._server.post("/fetch", {**fetch, "hostname": "host"})
        await self._server.post("/heartbeat", {"worker_id": worker_id, "jobs": {}})
        return worker_id

    async def _known(self) -> str:
        return await self._bench.enqueue("known")

    async def _nobody(self) -> str:
        return "job_00000000000000000000000000"

    async def _job(self, state: JobState, queue: str) -> str:
        return await self._bench.bring_to(
            state,
            queue=queue,
            payload={"n": 1},
            priority="high",
            unique_key=new_name(),
            concurrency_key="c",
            tags={"a": "b"},
            expire_after="30d",
            traceparent=f"00-{'a' * 32}-{'b' * 16}-01",
        )

    async def _cancelling(self) -> str:
        job = await self._bench.start(queue=new_name(), max_retries=2, retry_backoff="none")
        await self._bench.fail(job, "x", backtrace="line 1")
        await self._bench.tick()
        job = await self._bench.fetch_one(job.head.queue)
        await self._bench.heartbeat(job, progress=PROGRESS, checkpoint=[1])
        await self._bench.engine.jobs.cancel(job.head.id)
        return job.head.id

    async def _unique(self) -> str:
        return await self._enqueued(unique_key="k")

    async def _filled(self) -> str:
        return await self._enqueued(payload=1, tags={"a": "b"}, expire_after="1h")

    async def _large(self) -> str:
        queue = new_name()
        await self._bench.enqueue_batch(*(make_job(queue) for _ in range(bulk.AT_ONCE + 1)))
        return queue

    async def _enqueued(self, **fields: Any) -> str:
        queue = new_name()
        await self._bench.enqueue(queue, **fields)
        return queue

    async def _all(self) -> str:
        queue = new_name()
        await self._job(JobState.ACTIVE, queue)
        for state in set(JobState) - {JobState.ACTIVE}:  # it would be fetched instead
            job_id = await self._job(state, new_name())
            await self._bench.engine.jobs.move(job_id, queue)
        return queue

    async def _limited(self) -> str:
        queue = await self._filled()
        await self._server.post(f"/queues/{queue}/concurrency", {"max": 5, "per_key": 2})
        await self._server.post(f"/queues/{queue}/throttle", {"rate": 5, "window_ms": 1000})
        return queue

    async def _batch(self) -> str:
        queue = new_name()
        _, batch_id = await self._bench.enqueue_batch(make_job(queue), callback=queue)
        assert batch_id is not None
        return batch_id

    async def _ended_batch(self) -> str:
        queue = new_name()
        _, batch_id = await self._bench.enqueue_batch(make_job(queue), callback=f"{queue}-done")
        await self._bench.ack(await self._bench.fetch_one(queue))
        assert batch_id is not None
        return batch_id

    async def _bulk(self) -> str:
        body = {"filter": {"queue": await self._filled()}, "action": "cancel", "async": True}
        bulk_id: str = (await self._server.post("/jobs/bulk", body)).json["bulk_operation_id"]
        return bulk_id

    async def _ended_bulk(self) -> str:
        bulk_id = await self._bulk()
        while await self._bench.engine.bulk.step():
            pass
        return bulk_id

    async def _schedule(self) -> str:
        schedule = {**SCHEDULE, "name": new_name(), "queue": new_name()}
        assert (await self._server.post("/schedules", schedule)).status == 201
        await self._server.post(f"/schedules/{schedule['name']}/run")
        return str(schedule["name"])


def new_name() -> str:
    return f"q-{uuid4().hex[:12]}"


@pytest.fixture
def world(bench: Bench, server: HttpServer) -> World:
    return World(bench, server)


@pytest.mark.parametrize("call", CALLS, ids=str)
async def test_reply_matches_its_model(
    server: HttpServer, world: World, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "_LONGEST_WAIT", 0)
    path, body = await world.fill(call)
    endpoint = call.endpoint
    full = path if call.path in {"/healthz", "/readyz"} else API + path
    if endpoint.media_type == EVENT_STREAM:
        data = await first_event(server, full)
        check(data, endpoint.replies[call.status])
        return
    reply = await server.call(call.method, full, body, headers=call.headers)
    assert reply.status == call.status, reply.body
    check_reply(reply, endpoint)
    if reply.status == 202:
        found = await server.call("GET", reply.headers["location"])
        assert found.json["id"] == reply.json["bulk_operation_id"]


@pytest.mark.parametrize("call", REFUSED, ids=str)
async def test_refusal_matches_its_model(server: HttpServer, world: World, call: Refused) -> None:
    path, body = await world.fill(call)
    reply = await server.call(call.method, API + path, body)
    assert (reply.status, reply.json["code"]) == (call.code.http_status, call.code)
    assert reply.headers["content-type"] == JSON
    check(reply.body, ErrorReply)


async def test_calls_cover_every_reply_of_every_endpoint() -> None:
    looked_at = {(call.method, call.endpoint.path, call.status) for call in CALLS}
    assert looked_at == {
        (endpoint.method, endpoint.path, status)
        for endpoint in ENDPOINTS.values()
        for status in endpoint.replies
    }


async def first_event(server: HttpServer, path: str) -> bytes:
    """Return the data of the first event of a stream."""
    connection = await server.connect()
    await connection.send(request("GET", path, headers=server.headers))
    head = await connection.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert f"content-type: {EVENT_STREAM}\r\n".encode() in head
    line = b""
    while not line.startswith(b"data: "):
        line = await asyncio.wait_for(connection.reader.readline(), 10)
        assert line
    return line.removeprefix(b"data: ")


def check_reply(reply: Reply, endpoint: Endpoint) -> None:
    model = endpoint.replies[reply.status]
    if model is None:
        assert reply.body == b""
        return
    assert reply.headers["content-type"].partition(";")[0] == endpoint.media_type
    if endpoint.media_type == JSON:
        check(reply.body, model)
    elif endpoint.media_type == "text/plain":
        assert [*text_string_to_metric_families(reply.body.decode())]


def check(body: bytes, model: Any) -> None:
    """Check that the body has only fields of the model, and equals what the model writes."""
    adapter = TypeAdapter(model)
    read = adapter.validate_json(body, strict=True, extra="forbid")
    assert adapter.dump_python(read, mode="json", exclude_unset=True) == orjson.loads(body)
    check_whole(read)


def check_whole(read: Any) -> None:
    if isinstance(read, WHOLE):
        assert read.model_fields_set == set(type(read).model_fields)
    parts: Any = ()
    if isinstance(read, BaseModel):
        parts = dict(read).values()
    elif isinstance(read, dict):
        parts = read.values()
    elif isinstance(read, list):
        parts = read
    for part in parts:
        check_whole(part)
