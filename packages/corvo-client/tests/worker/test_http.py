"""Exact requests of a worker. A transport of httpx returns the planned answers."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from corvo_client import NotFound
from corvo_client._async.client import AsyncClient
from corvo_client._async.transport import AsyncTransport
from corvo_client._origin import Origin
from corvo_client.worker import Worker
from corvo_client.worker._api import Ack, Refused, StorageFull, Undelivered
from corvo_client.worker._http import FetchTerms, HttpHeartbeatSender, HttpServerApi
from corvo_client.worker._server import Server
from corvo_schema.attempts import FailItem, HeartbeatJob, HeartbeatRequest, ReleaseItem

JOB = {
    "job_id": "job_01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "queue": "a",
    "payload": {"n": 2**70},
    "attempt": 2,
    "max_retries": 3,
    "lease_duration": 60,
    "checkpoint": [1],
    "tags": {"k": "v"},
    "lease_token": "t",
    "lease_expires_at": "2026-01-31T08:00:00.250Z",
    "something_new": 1,
}


class Wire:
    """Answers requests with `answer`, and records them."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.headers: list[httpx.Headers] = []
        self.status = 200
        self.answer: Any = {}
        self.error: Exception | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.sent.append((request.url.path, json.loads(request.read())))
        self.headers.append(request.headers)
        if self.error is not None:
            raise self.error
        return httpx.Response(self.status, json=self.answer)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def api(wire: Wire) -> HttpServerApi:
    transport = AsyncTransport(Origin("http://corvo"), httpx.MockTransport(wire))
    return HttpServerApi(transport, FetchTerms("worker_1", "box", 30.0, 60.0))


async def test_fetch(api: HttpServerApi, wire: Wire) -> None:
    wire.answer = {"jobs": [JOB]}
    (job,) = await api.fetch(("a", "b"), 7, wait=True)
    await api.fetch(("a", "b"), 8, wait=False)
    assert (job.job_id, job.payload, job.checkpoint) == (JOB["job_id"], {"n": 2**70}, [1])
    assert (job.lease_duration, job.lease_token, job.tags) == (60_000, "t", {"k": "v"})
    terms = {
        "queues": ["a", "b"],
        "worker_id": "worker_1",
        "hostname": "box",
        "lease_duration": 60.0,
        "fenced": True,
    }
    assert wire.sent == [
        ("/api/v1/fetch/batch", terms | {"count": 7, "timeout": 30}),
        ("/api/v1/fetch/batch", terms | {"count": 8, "timeout": 0}),
    ]


async def test_reports_omit_unset_fields_and_keep_nulls_of_results(
    api: HttpServerApi, wire: Wire
) -> None:
    wire.answer = {"acked": 2, "results": "not read, as there is no need"}
    acks = [
        Ack(job_id="j", lease_token="t"),
        Ack(job_id="k", lease_token="t", result={"a": None}),
    ]
    assert await api.ack(acks) == []
    wire.answer = {"failed": 1, "results": [{"job_id": "j", "status": "dead"}]}
    fails = [FailItem(job_id="j", lease_token="t", error="x", retry=False)]
    assert [result.status for result in await api.fail(fails)] == ["dead"]
    wire.answer = {"released": 1, "results": [{"job_id": "j", "status": "released"}]}
    releases = [ReleaseItem.model_validate({"job_id": "j", "lease_token": "t", "delay": "1500ms"})]
    assert [result.status for result in await api.release(releases)] == ["released"]
    paths, bodies = zip(*wire.sent, strict=True)
    assert paths == ("/api/v1/ack/batch", "/api/v1/fail/batch", "/api/v1/release/batch")
    assert bodies[0]["acks"] == [
        {"job_id": "j", "lease_token": "t"},
        {"job_id": "k", "lease_token": "t", "result": {"a": None}},
    ]
    assert bodies[1]["fails"] == [
        {"job_id": "j", "lease_token": "t", "error": "x", "retry": False, "cancel": False}
    ]
    assert bodies[2]["releases"] == [{"job_id": "j", "lease_token": "t", "delay": "1s500ms"}]


async def test_large_batches_are_refused_before_they_are_sent(
    api: HttpServerApi, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corvo_client.worker._http._MAX_BATCH_BYTES", 1000)
    wire.answer = {"acked": 1, "failed": 1, "released": 1, "results": []}
    large = "x" * 600
    acks = [Ack("j", "t", large), Ack("k", "t", large)]
    fails = [FailItem(job_id=id_, error=large) for id_ in "jk"]
    releases = [ReleaseItem(job_id=id_, checkpoint=large) for id_ in "jk"]
    for send in (api.ack(acks), api.fail(fails), api.release(releases)):
        with pytest.raises(Refused, match="the request has 1"):
            await send
    assert wire.sent == []
    await api.ack([Ack("j", "t", 2 * large)])  # one that is too large is the server's to refuse
    assert len(wire.sent) == 1


def test_a_heartbeat_with_large_checkpoints_is_refused_before_it_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("corvo_client.worker._http._MAX_BATCH_BYTES", 1000)
    sender = HttpHeartbeatSender(Origin("http://127.0.0.1:9"), 1.0)
    jobs = {id_: HeartbeatJob(checkpoint="x" * 600) for id_ in "jk"}
    with pytest.raises(Refused, match="the request has 1204 bytes"):
        sender.beat(HeartbeatRequest(worker_id="w", jobs=jobs))
    sender.close()


async def test_rejected_acks_are_returned(api: HttpServerApi, wire: Wire) -> None:
    fine, late = {"job_id": "j", "status": "ok"}, {"job_id": "k", "status": "error"}
    wire.answer = {"acked": 1, "results": [fine, late | {"code": "LEASE_LOST", "error": "late"}]}
    results = await api.ack([Ack("j", "t"), Ack("k", "t")])
    assert [(result.status, result.code) for result in results] == [
        ("ok", None),
        ("error", "LEASE_LOST"),
    ]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "VALIDATION_ERROR", Refused),
        (413, "PAYLOAD_TOO_LARGE", Refused),
        (401, "UNAUTHORIZED", Undelivered),
        (429, "OVERLOADED", Undelivered),
        (500, "INTERNAL_ERROR", Undelivered),
        (500, "OUTCOME_UNKNOWN", Undelivered),
        (503, "UNAVAILABLE", Undelivered),
        (503, "STORAGE_FULL", StorageFull),
    ],
)
async def test_errors_are_permanent_or_temporary(
    api: HttpServerApi, wire: Wire, status: int, code: str, kind: type[Exception]
) -> None:
    wire.status, wire.answer = status, {"error": "so it is", "code": code}
    with pytest.raises(kind, match="so it is"):
        await api.ack([Ack(job_id="j")])
    assert len(wire.sent) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413])
async def test_fetches_that_cannot_succeed_later_are_refused(
    api: HttpServerApi, wire: Wire, status: int
) -> None:
    wire.status, wire.answer = status, {"error": "so it is"}
    with pytest.raises(Refused, match="so it is"):
        await api.fetch(("a",), 1, wait=True)


async def test_answer_of_another_server_refuses_a_fetch(api: HttpServerApi, wire: Wire) -> None:
    wire.answer = "welcome"
    with pytest.raises(Refused):
        await api.fetch(("a",), 1, wait=True)


async def test_worker_ends_with_the_error_if_the_server_refuses_its_first_fetch(
    wire: Wire, network: Any
) -> None:
    network(wire)
    wire.status, wire.answer = 404, {"error": "no such route"}
    worker = Worker("http://corvo")

    @worker.task("a")
    async def task() -> None: ...

    with pytest.raises(NotFound, match="no such route"):
        await asyncio.wait_for(worker.run_async(), 30)


async def test_a_missing_answer_is_a_temporary_error(api: HttpServerApi, wire: Wire) -> None:
    wire.error = httpx.ConnectError("refused")
    with pytest.raises(Undelivered, match="refused"):
        await api.fetch(("a",), 1, wait=True)


def test_a_heartbeat_has_its_own_loop(wire: Wire, network: Any) -> None:
    network(wire)
    wire.answer = {"jobs": {"j": {"status": "cancel", "reason": "cancelled"}}}
    heartbeat_sender = HttpHeartbeatSender(Origin("http://corvo"), 5.0)
    jobs = {"j": HeartbeatJob(lease_token="t", checkpoint={"page": 1})}
    request = HeartbeatRequest(worker_id="worker_1", jobs=jobs)
    for _ in range(2):
        assert heartbeat_sender.beat(request).jobs["j"].reason == "cancelled"
    heartbeat_sender.close()
    body = {"worker_id": "worker_1", "jobs": {"j": {"lease_token": "t", "checkpoint": {"page": 1}}}}
    assert wire.sent == [("/api/v1/heartbeat", body)] * 2


def test_a_heartbeat_has_a_time_limit(network: Any) -> None:
    async def hang(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    network(hang)
    heartbeat_sender = HttpHeartbeatSender(Origin("http://corvo"), 0.0)
    with pytest.raises(Undelivered, match="no answer within the timeout"):
        heartbeat_sender.beat(HeartbeatRequest(worker_id="worker_1", jobs={}))
    heartbeat_sender.close()


def test_tasks_are_enqueued_from_any_loop_and_from_plain_code(wire: Wire, network: Any) -> None:
    network(wire)
    wire.answer = {"job_id": "job_1", "status": "pending"}
    worker = Worker("http://corvo", api_key="key")

    @worker.task("sums", max_retries=7)
    async def add(a: int) -> None: ...

    async def enqueue_twice() -> None:
        await add.aenqueue(1)
        await add.options(priority="high").aenqueue(2)

    for _ in range(2):
        asyncio.run(enqueue_twice())
    assert add.enqueue(3).job_id == "job_1"
    bodies = [body for _, body in wire.sent]
    assert [body["payload"] for body in bodies] == [{"a": n} for n in (1, 2, 1, 2, 3)]
    assert bodies[1]["priority"] == "high"
    assert all(body["max_retries"] == 7 and body["queue"] == "sums" for body in bodies)
    assert all(headers["Authorization"] == "Bearer key" for headers in wire.headers)


async def test_a_given_client_is_used_and_not_closed(wire: Wire) -> None:
    wire.answer = {"job_id": "job_1", "status": "pending"}
    async with AsyncClient("http://corvo", transport=httpx.MockTransport(wire)) as client:
        server = Server(client, None)
        for _ in range(2):
            await server.aenqueue("a", {}, {})
            await server.close()
        wire.answer = {"jobs": []}
        api = server.api(FetchTerms("worker_1", "box", 30.0, 60.0))
        assert await api.fetch(("a",), 1, wait=False) == []
        await asyncio.to_thread(server.heartbeat_sender(1.0).close)
    assert [path for path, _ in wire.sent] == ["/api/v1/enqueue"] * 2 + ["/api/v1/fetch/batch"]


async def test_the_connections_of_a_loop_are_closed_with_it(wire: Wire, network: Any) -> None:
    network(wire)
    server = Server("http://corvo", None)
    wire.answer = {"job_id": "job_1", "status": "pending"}
    await server.aenqueue("a", {}, {})
    first = server._connection()
    assert server._connection() is first
    await server.close()
    await server.close()
    assert server._connection() is not first
