"""The life of a job over HTTP: every field of the endpoints' replies."""

from datetime import UTC, datetime
from typing import Any

import pytest

from corvo_schema import (
    AckBatchReply,
    Batch,
    BulkGetReply,
    EnqueueBatchReply,
    EnqueueReply,
    FailBatchReply,
    FetchBatchReply,
    FetchedJob,
    HeartbeatReply,
    Job,
    QueueInfo,
    ReleaseBatchReply,
    new_job_id,
)
from corvo_schema.states import JobState
from server_support.bench import LEASE_MS, Bench
from server_support.clock import START
from server_support.http import HttpServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

MOMENT = "2027-01-15T08:00:00.000Z"
"""`START` as a timestamp of the wire."""


@pytest.fixture(autouse=True)
def _same_moment(bench: Bench) -> None:
    bench.clock.now = START


async def fetch(server: HttpServer, queue: str, **fields: Any) -> dict[str, Any]:
    """Fetch one job. Fail if there is none."""
    body = {"queues": [queue], "worker_id": "w-1", "hostname": "h-1", "timeout": 0, **fields}
    reply = await server.post("/fetch", body)
    assert reply.status == 200
    FetchedJob.model_validate(reply.json)
    return dict(reply.json)


async def start(server: HttpServer, queue: str, **fields: Any) -> dict[str, Any]:
    """Enqueue a job and fetch it."""
    reply = await server.post("/enqueue", {"queue": queue, **fields})
    assert reply.status == 201
    return await fetch(server, queue)


async def job_of(server: HttpServer, job_id: str) -> dict[str, Any]:
    """Return a job in full."""
    reply = await server.get(f"/jobs/{job_id}")
    assert reply.status == 200
    Job.model_validate(reply.json)
    return dict(reply.json)


async def test_start_is_the_time_of_these_tests() -> None:
    assert datetime.fromtimestamp(START / 1000, UTC).isoformat() == "2027-01-15T08:00:00+00:00"


async def test_enqueue(server: HttpServer) -> None:
    reply = await server.post("/enqueue", {"queue": "e1"})
    assert reply.status == 201
    assert reply.json == {
        "job_id": reply.json["job_id"],
        "status": "pending",
        "unique_existing": False,
    }
    EnqueueReply.model_validate(reply.json)
    later = {"queue": "e1", "scheduled_at": "2027-01-15T09:00:00+00:30"}
    assert (await server.post("/enqueue", later)).json["status"] == "scheduled"


async def test_repeated_enqueue(server: HttpServer) -> None:
    first = {"queue": "e2", "unique_key": "k", "job_id": new_job_id()}
    assert (await server.post("/enqueue", first)).status == 201
    again = await server.post("/enqueue", first)
    assert (again.status, again.json) == (
        200,
        {"job_id": first["job_id"], "status": "pending", "unique_existing": False},
    )
    duplicate = await server.post("/enqueue", {"queue": "e2", "unique_key": "k"})
    assert (duplicate.status, duplicate.json) == (
        200,
        {"job_id": first["job_id"], "status": "duplicate", "unique_existing": True},
    )


async def test_enqueue_of_another_job_with_a_known_id(server: HttpServer) -> None:
    first = {"queue": "known1", "job_id": new_job_id(), "payload": {"n": 1}}
    assert (await server.post("/enqueue", first)).status == 201
    plain, optional = {**first, "payload": {"n": 2}}, {**first, "queue": "other1", "max_retries": 5}
    for path, body in (
        ("/enqueue", plain),
        ("/enqueue", optional),
        ("/enqueue/batch", {"jobs": [{"queue": "other2"}, plain]}),
        ("/enqueue/batch", {"jobs": [{"queue": "other2"}, optional]}),
    ):
        reply = await server.post(path, body)
        assert (reply.status, reply.json["code"]) == (409, "INVALID_STATE")
        assert first["job_id"] in reply.json["error"]
        assert "pending in queue known1" in reply.json["error"]
    queues = (await server.get("/queues")).json
    assert {queue["name"] for queue in queues} & {"other1", "other2"} == set()
    # Only the queue and the payload count: other options of a repeat are ignored.
    reply = await server.post("/enqueue", {**first, "priority": "high", "delay": 5})
    assert (reply.status, reply.json["status"]) == (200, "pending")


async def test_enqueue_batch(server: HttpServer) -> None:
    jobs = [{"queue": "e3", "unique_key": "k"}, {"queue": "e3", "unique_key": "k"}, {"queue": "e3"}]
    reply = await server.post("/enqueue/batch", {"jobs": jobs})
    assert reply.status == 201
    EnqueueBatchReply.model_validate(reply.json)
    assert set(reply.json) == {"job_ids", "results"}
    assert [result["status"] for result in reply.json["results"]] == [
        "pending",
        "duplicate",
        "pending",
    ]
    assert reply.json["job_ids"] == [result["job_id"] for result in reply.json["results"]]


async def test_batch_and_its_callback(server: HttpServer) -> None:
    body = {
        "jobs": [{"queue": "e4"}, {"queue": "e4"}],
        "batch": {"callback_queue": "e4-done", "callback_payload": [1.50, "é"]},
    }
    batch_id = (await server.post("/enqueue/batch", body)).json["batch_id"]
    before = (await server.get(f"/batches/{batch_id}")).json
    Batch.model_validate(before)
    assert (before["state"], before["total"], before["pending"]) == ("running", 2, 2)
    assert (before["callback_job_id"], before["finished_at"]) == (None, None)
    for _ in range(2):
        job = await fetch(server, "e4")
        assert job["batch_id"] == batch_id
        await server.post(f"/ack/{job['job_id']}", {})
    after = (await server.get(f"/batches/{batch_id}")).json
    assert (after["state"], after["pending"], after["succeeded"]) == ("finished", 0, 2)
    assert after["finished_at"] == MOMENT
    callback = await fetch(server, "e4-done")
    assert callback["job_id"] == after["callback_job_id"]
    assert callback["payload"] == {
        "batch_id": batch_id,
        "total": 2,
        "succeeded": 2,
        "failed": 0,
        "cancelled": 0,
        "payload": [1.5, "é"],
    }
    assert (await server.get("/batches/batch_none")).status == 404
    assert (await server.get("/batches?state=finished&limit=1")).json == {
        "batches": [after],
        "cursor": None,
        "has_more": False,
    }
    assert (await server.get("/batches?state=running")).json["batches"] == []


async def test_fetch_returns_the_whole_job(server: HttpServer) -> None:
    body = {
        "queue": "f1",
        "payload": {"b": 1, "a": [True, None]},
        "priority": 0,
        "unique_key": "k",
        "expire_after": "1h",
        "tags": {"env": "prod"},
        "max_retries": 7,
        "concurrency_key": "tenant",
    }
    job_id = (await server.post("/enqueue", body)).json["job_id"]
    job = await fetch(server, "f1", lease_duration=1.5)
    token = job.pop("lease_token")
    assert len(token) >= 16
    expected = {
        "job_id": job_id,
        "queue": "f1",
        "payload": {"b": 1, "a": [True, None]},
        "attempt": 1,
        "max_retries": 7,
        "lease_duration": 1.5,
        "checkpoint": None,
        "tags": {"env": "prod"},
        "lease_expires_at": "2027-01-15T08:00:01.500Z",
        "priority": "critical",
        "created_at": MOMENT,
        "scheduled_at": None,
        "expire_at": "2027-01-15T09:00:00.000Z",
        "batch_id": None,
        "unique_key": "k",
        "concurrency_key": "tenant",
    }
    assert job | expected == job


async def test_fetch_without_jobs(server: HttpServer) -> None:
    body = {"queues": ["nothing"], "worker_id": "w", "timeout": 0}
    reply = await server.post("/fetch", body)
    assert (reply.status, reply.body) == (204, b"")
    reply = await server.post("/fetch/batch", {**body, "count": 5})
    assert (reply.status, reply.json) == (200, {"jobs": []})


async def test_fetch_batch(server: HttpServer) -> None:
    ids = [(await server.post("/enqueue", {"queue": "f2"})).json["job_id"] for _ in range(5)]
    body = {"queues": ["f2"], "worker_id": "w", "timeout": 0, "count": 3}
    reply = await server.post("/fetch/batch", body)
    FetchBatchReply.model_validate(reply.json)
    assert [job["job_id"] for job in reply.json["jobs"]] == ids[:3]
    assert {job["lease_duration"] for job in reply.json["jobs"]} == {60}


async def test_ack_and_the_job_afterwards(server: HttpServer) -> None:
    job = await start(server, "a1", payload={"n": 1}, tags={"a": "b"})
    result = b'{"result": {"z":1.50,"a":123456789012345678901234567890}}'
    reply = await server.post(f"/ack/{job['job_id']}", result)
    assert (reply.status, reply.json) == (200, {"status": "ok"})
    raw = await server.get(f"/jobs/{job['job_id']}")
    assert b'"result":{"z":1.50,"a":123456789012345678901234567890}' in raw.body
    full = await job_of(server, job["job_id"])
    timeline = full.pop("timeline")
    assert [(event["type"], event["created_at"]) for event in timeline] == [
        ("enqueued", MOMENT),
        ("started", MOMENT),
        ("completed", MOMENT),
    ]
    assert timeline[1]["data"] == {"attempt": 1, "worker_id": "w-1"}
    full.pop("result")
    expected = {
        "id": job["job_id"],
        "queue": "a1",
        "state": "completed",
        "payload": {"n": 1},
        "priority": "normal",
        "priority_value": 2,
        "attempt": 1,
        "max_retries": 3,
        "retry_backoff": "exponential",
        "retry_base_delay_ms": 5000,
        "retry_max_delay_ms": 600_000,
        "unique_key": None,
        "concurrency_key": None,
        "batch_id": None,
        "worker_id": "w-1",
        "hostname": "h-1",
        "tags": {"a": "b"},
        "progress": None,
        "checkpoint": None,
        "cancel_requested": False,
        "lease_expires_at": None,
        "scheduled_at": None,
        "expire_at": None,
        "created_at": MOMENT,
        "started_at": MOMENT,
        "completed_at": MOMENT,
        "failed_at": None,
        "errors": [],
    }
    assert full | expected == full


async def test_ack_batch(server: HttpServer) -> None:
    jobs = [await start(server, "a2") for _ in range(2)]
    acks = [
        {"job_id": jobs[0]["job_id"], "lease_token": jobs[0]["lease_token"], "result": [1, 2]},
        {"job_id": "job_none"},
        {"job_id": jobs[1]["job_id"]},
    ]
    reply = await server.post("/ack/batch", {"acks": acks})
    AckBatchReply.model_validate(reply.json)
    assert reply.json["acked"] == 2
    assert [result["status"] for result in reply.json["results"]] == ["ok", "error", "ok"]
    assert reply.json["results"][1]["code"] == "NOT_FOUND"
    assert (await job_of(server, jobs[0]["job_id"]))["result"] == [1, 2]
    assert (await job_of(server, jobs[1]["job_id"]))["result"] is None
    assert (await server.post("/ack/batch", {"acks": []})).json == {"acked": 0, "results": []}


async def test_fail_and_the_job_afterwards(server: HttpServer) -> None:
    job = await start(server, "b1", retry_backoff="none", max_retries=2)
    body = {"error": "boom", "backtrace": "line 1", "lease_token": job["lease_token"]}
    reply = await server.post(f"/fail/{job['job_id']}", body)
    assert reply.json == {
        "status": "retrying",
        "attempts_remaining": 1,
        "next_attempt_at": MOMENT,
    }
    assert (await server.post(f"/fail/{job['job_id']}", body)).json == reply.json
    full = await job_of(server, job["job_id"])
    assert (full["state"], full["failed_at"], full["completed_at"]) == ("retrying", MOMENT, None)
    assert full["errors"] == [
        {"attempt": 1, "error": "boom", "backtrace": "line 1", "created_at": MOMENT}
    ]


async def test_fail_for_good_and_as_cancelled(server: HttpServer) -> None:
    dead, cancelled = await start(server, "b2"), await start(server, "b2")
    reply = await server.post(f"/fail/{dead['job_id']}", {"error": "x", "retry": False})
    assert reply.json == {"status": "dead", "attempts_remaining": 0}
    reply = await server.post(f"/fail/{cancelled['job_id']}", {"error": "x", "cancel": True})
    assert reply.json == {"status": "cancelled", "attempts_remaining": 0}


async def test_fail_batch(bench: Bench, server: HttpServer) -> None:
    job = await start(server, "b3", retry_backoff="none")
    fail = {"job_id": job["job_id"], "error": "x", "lease_token": job["lease_token"]}
    reply = await server.post("/fail/batch", {"fails": [fail, {"job_id": "no", "error": "y"}]})
    FailBatchReply.model_validate(reply.json)
    assert reply.json["failed"] == 1
    assert reply.json["results"] == [
        {
            "job_id": job["job_id"],
            "status": "retrying",
            "attempts_remaining": 2,
            "next_attempt_at": MOMENT,
        },
        {
            "job_id": "no",
            "status": "error",
            "code": "NOT_FOUND",
            "error": reply.json["results"][1]["error"],
        },
    ]
    await bench.tick()
    repeated = await server.post("/fail/batch", {"fails": [fail]})
    assert repeated.json["results"][0]["status"] == "retrying"  # although the job is pending now


async def test_release(server: HttpServer) -> None:
    job = await start(server, "c1")
    reply = await server.post(f"/release/{job['job_id']}", {"checkpoint": {"page": 4}})
    assert (reply.status, reply.json) == (200, {"status": "released"})
    job = await fetch(server, "c1")
    assert (job["attempt"], job["checkpoint"]) == (1, {"page": 4})
    reply = await server.post(f"/release/{job['job_id']}", {"delay": "5s"})
    assert reply.json == {"status": "released", "scheduled_at": "2027-01-15T08:00:05.000Z"}
    assert (await job_of(server, job["job_id"]))["state"] == "scheduled"


async def test_release_of_ended_attempts(bench: Bench, server: HttpServer) -> None:
    cancelled = await start(server, "c2")
    await server.post(f"/jobs/{cancelled['job_id']}/cancel")
    reply = await server.post(f"/release/{cancelled['job_id']}", {})
    assert reply.json == {"status": "cancelled"}
    late = await start(server, "c2", expire_after="1s")
    bench.clock.forward(1000)
    assert (await server.post(f"/release/{late['job_id']}", {})).json == {"status": "dead"}


async def test_release_batch(server: HttpServer) -> None:
    jobs = [await start(server, "c3") for _ in range(2)]
    releases = [
        {"job_id": jobs[0]["job_id"], "lease_token": jobs[0]["lease_token"], "checkpoint": 7},
        {"job_id": jobs[1]["job_id"], "lease_token": "wrong"},
    ]
    reply = await server.post("/release/batch", {"releases": releases})
    ReleaseBatchReply.model_validate(reply.json)
    assert reply.json["released"] == 1
    assert [result["status"] for result in reply.json["results"]] == ["released", "error"]
    assert reply.json["results"][1]["code"] == "LEASE_LOST"
    assert (await fetch(server, "c3"))["checkpoint"] == 7
    empty = await server.post("/release/batch", {"releases": []})
    assert empty.json == {"released": 0, "results": []}


async def test_heartbeat(bench: Bench, server: HttpServer) -> None:
    kept, cancelled, lost, done = [await start(server, "d1") for _ in range(4)]
    await server.post(f"/jobs/{cancelled['job_id']}/cancel")
    await server.post(f"/ack/{done['job_id']}", {})
    bench.clock.forward(10_000)
    body = {
        "worker_id": "w-1",
        "jobs": {
            kept["job_id"]: {
                "lease_token": kept["lease_token"],
                "progress": {"current": 3, "total": 9.5, "message": "on it"},
                "checkpoint": {"page": 4},
            },
            cancelled["job_id"]: {},
            lost["job_id"]: {"lease_token": "old"},
            done["job_id"]: {"lease_token": done["lease_token"]},
            "job_none": {},
        },
    }
    reply = await server.post("/heartbeat", body)
    HeartbeatReply.model_validate(reply.json)
    assert reply.json["jobs"] == {
        kept["job_id"]: {"status": "ok"},
        cancelled["job_id"]: {"status": "cancel", "reason": "cancelled"},
        lost["job_id"]: {"status": "cancel", "reason": "lease_lost"},
        done["job_id"]: {"status": "cancel", "reason": "finished"},
        "job_none": {"status": "cancel", "reason": "not_found"},
    }
    full = await job_of(server, kept["job_id"])
    assert full["progress"] == {"current": 3, "total": 9.5, "message": "on it"}
    assert full["checkpoint"] == {"page": 4}
    assert full["lease_expires_at"] == "2027-01-15T08:01:10.000Z"
    assert (await server.post("/heartbeat", {})).json == {"jobs": {}}
    assert (await server.post("/heartbeat", {"jobs": None})).json == {"jobs": {}}


async def test_fenced_attempts_need_their_tokens(server: HttpServer) -> None:
    for _ in range(3):
        await server.post("/enqueue", {"queue": "g0"})
    fetched = [await fetch(server, "g0", fenced=True)]
    body = {"queues": ["g0"], "worker_id": "w-1", "timeout": 0, "count": 2, "fenced": True}
    fetched += (await server.post("/fetch/batch", body)).json["jobs"]
    job_id = fetched[0]["job_id"]
    for path, body in (
        (f"/ack/{job_id}", {"result": 1}),
        (f"/fail/{job_id}", {"error": "x"}),
        (f"/release/{job_id}", {}),
    ):
        reply = await server.post(path, body)
        assert (reply.status, reply.json["code"]) == (409, "LEASE_LOST")
        assert job_id in reply.json["error"]
    ids = [job["job_id"] for job in fetched]
    for verb in ("ack", "fail", "release"):
        items = [{"job_id": job_id} | ({"error": "x"} if verb == "fail" else {}) for job_id in ids]
        results = (await server.post(f"/{verb}/batch", {f"{verb}s": items})).json["results"]
        assert [result["code"] for result in results] == ["LEASE_LOST"] * 3, verb
    beats: dict[str, Any] = {job_id: {} for job_id in ids}
    reply = await server.post("/heartbeat", {"worker_id": "w-1", "jobs": beats})
    assert reply.json["jobs"] == {
        job_id: {"status": "cancel", "reason": "lease_lost"} for job_id in ids
    }
    beats = {job["job_id"]: {"lease_token": job["lease_token"]} for job in fetched}
    reply = await server.post("/heartbeat", {"worker_id": "w-1", "jobs": beats})
    assert reply.json["jobs"] == {job_id: {"status": "ok"} for job_id in ids}
    acks = [{"job_id": job["job_id"], "lease_token": job["lease_token"]} for job in fetched]
    assert (await server.post("/ack/batch", {"acks": acks})).json["acked"] == 3


@pytest.mark.parametrize("fenced", [None, False])
async def test_attempts_are_not_fenced_by_default(server: HttpServer, fenced: bool | None) -> None:
    await server.post("/enqueue", {"queue": "g9"})
    job = await fetch(server, "g9", fenced=fenced)
    assert (await server.post(f"/ack/{job['job_id']}", {})).status == 200


async def test_cancel_and_retry(server: HttpServer) -> None:
    waiting = (await server.post("/enqueue", {"queue": "g1"})).json["job_id"]
    reply = await server.post(f"/jobs/{waiting}/cancel")
    assert (reply.status, reply.json) == (200, {"status": "cancelled"})
    assert (await server.post(f"/jobs/{waiting}/cancel")).status == 409
    reply = await server.post(f"/jobs/{waiting}/retry")
    assert (reply.status, reply.json) == (200, {"status": "retried"})
    job = await fetch(server, "g1")
    reply = await server.post(f"/jobs/{job['job_id']}/cancel")
    assert (reply.status, reply.json) == (200, {"status": "cancelling"})
    assert (await job_of(server, job["job_id"]))["cancel_requested"] is True
    refused = await server.post(f"/jobs/{job['job_id']}/retry")
    assert (refused.status, refused.json["code"]) == (409, "INVALID_STATE")


async def test_bulk_get(server: HttpServer) -> None:
    ids = [(await server.post("/enqueue", {"queue": "g2"})).json["job_id"] for _ in range(3)]
    wanted = [ids[2], "job_none", ids[0], ids[2]]
    reply = await server.post("/jobs/bulk-get", {"job_ids": wanted})
    BulkGetReply.model_validate(reply.json)
    assert [job["id"] for job in reply.json["jobs"]] == [ids[2], ids[0]]
    assert (await server.post("/jobs/bulk-get", {"job_ids": []})).json == {"jobs": []}


async def test_actions_on_one_job(server: HttpServer) -> None:
    job_id = (await server.post("/enqueue", {"queue": "g3"})).json["job_id"]
    moved = await server.post(f"/jobs/{job_id}/move", {"queue": "g4"})
    assert (moved.status, moved.json) == (200, {"status": "moved"})
    raised = await server.post(f"/jobs/{job_id}/priority", {"priority": "high"})
    assert (raised.status, raised.json) == (200, {"status": "ok"})
    job = await job_of(server, job_id)
    assert (job["queue"], job["priority"], job["priority_value"]) == ("g4", "high", 1)
    leased = await fetch(server, "g4")
    assert (await server.call("DELETE", f"/api/v1/jobs/{job_id}")).status == 409
    await server.post(f"/fail/{leased['job_id']}", {"error": "x", "retry": False})
    requeued = await server.post(f"/jobs/{job_id}/requeue")
    assert (requeued.status, requeued.json) == (200, {"status": "requeued"})
    deleted = await server.call("DELETE", f"/api/v1/jobs/{job_id}")
    assert (deleted.status, deleted.json) == (200, {"status": "deleted"})
    assert (await server.get(f"/jobs/{job_id}")).status == 404


async def test_queues(bench: Bench, server: HttpServer) -> None:
    await server.post("/enqueue", {"queue": "h1"})
    bench.clock.forward(250)
    queue = (await server.get("/queues/h1")).json
    QueueInfo.model_validate(queue)
    expected = {
        "name": "h1",
        "paused": False,
        "draining": False,
        "max_concurrency": None,
        "max_per_key": None,
        "rate_limit": None,
        "rate_window_ms": None,
        "created_at": MOMENT,
        "pending": 1,
        "active": 0,
        "scheduled": 0,
        "retrying": 0,
        "completed": 0,
        "dead": 0,
        "cancelled": 0,
        "enqueued": 1,
        "failed": 0,
        "oldest_pending_ms": 250,
    }
    assert queue | expected == queue
    listed = (await server.get("/queues")).json
    assert isinstance(listed, list)
    assert queue in listed
    assert [item["name"] for item in listed] == sorted(item["name"] for item in listed)
    assert (await server.post("/queues/h1/pause")).json == {"status": "paused"}
    assert (await server.get("/queues/h1")).json["paused"] is True
    assert (await server.post("/queues/h1/resume")).json == {"status": "resumed"}
    missing = await server.get("/queues/h9")
    assert (missing.status, missing.json["code"]) == (404, "NOT_FOUND")


async def test_queue_limits(server: HttpServer) -> None:
    assert (await server.post("/queues/h2/concurrency", {"max": 3, "per_key": 1})).json == {
        "status": "ok"
    }
    assert (await server.post("/queues/h2/throttle", {"rate": 5, "period": "1m"})).json == {
        "status": "ok"
    }
    queue = (await server.get("/queues/h2")).json
    assert (queue["max_concurrency"], queue["max_per_key"]) == (3, 1)
    assert (queue["rate_limit"], queue["rate_window_ms"]) == (5, 60_000)
    assert (await server.call("DELETE", "/api/v1/queues/h2/throttle")).json == {"status": "ok"}
    assert (await server.post("/queues/h2/concurrency", {"max": 0})).json == {"status": "ok"}
    assert (await server.post("/queues/h2/concurrency", {"per_key": None})).status == 200
    queue = (await server.get("/queues/h2")).json
    assert (queue["max_concurrency"], queue["rate_limit"]) == (None, None)
    assert (await server.post("/queues/h2/drain")).json == {"status": "draining"}
    assert (await server.get("/queues/h2")).json["draining"] is True


async def test_queue_is_cleared_and_deleted(server: HttpServer) -> None:
    for _ in range(3):
        await server.post("/enqueue", {"queue": "h3"})
    assert (await server.post("/queues/h3/clear")).json == {"status": "cleared", "deleted": 3}
    await server.post("/enqueue", {"queue": "h3"})
    unsure = await server.call("DELETE", "/api/v1/queues/h3")
    assert (unsure.status, unsure.json["code"]) == (400, "VALIDATION_ERROR")
    sure = await server.call("DELETE", "/api/v1/queues/h3?confirm=true")
    assert (sure.status, sure.json) == (200, {"status": "deleted", "deleted": 1})
    assert (await server.get("/queues/h3")).status == 404


async def test_documents_are_stored_byte_for_byte(server: HttpServer) -> None:
    text = b'{"b" : 1.50,\t"a":"\\u00e9\xc3\xa9\\u0000", "n":1234567890123456789012345678901}'
    await server.post("/enqueue", b'{"payload":%s, "queue":"i1"}' % text)
    body = b'{"queues":["i1"],"worker_id":"w","timeout":0}'
    reply = await server.post("/fetch", body)
    assert b'"payload":%s,' % text in reply.body
    job_id = reply.json["job_id"]
    await server.post("/heartbeat", b'{"jobs":{"%s":{"checkpoint":%s}}}' % (job_id.encode(), text))
    await server.post(f"/fail/{job_id}", {"error": "x", "retry": False})
    full = await server.get(f"/jobs/{job_id}")
    assert b'"checkpoint":%s,' % text in full.body


@pytest.mark.parametrize("text", [b"null", b"5", b'""', b"[]", b"false", b'"text"'])
async def test_payload_may_be_any_json(server: HttpServer, text: bytes) -> None:
    reply = await server.post("/enqueue", b'{"queue":"i2","payload":%s}' % text)
    full = await server.get(f"/jobs/{reply.json['job_id']}")
    assert b'"payload":%s,' % text in full.body


async def test_null_means_absent(server: HttpServer) -> None:
    names = (
        "priority",
        "unique_key",
        "unique_period",
        "max_retries",
        "retry_backoff",
        "retry_base_delay",
        "retry_max_delay",
        "scheduled_at",
        "expire_after",
        "tags",
        "job_id",
    )
    reply = await server.post("/enqueue", {"queue": "i3", **dict.fromkeys(names)})
    assert (reply.status, reply.json["status"]) == (201, "pending")
    job = await job_of(server, reply.json["job_id"])
    assert (job["max_retries"], job["priority"], job["tags"]) == (3, "normal", {})


async def test_worker_that_works_is_listed(server: HttpServer) -> None:
    job = await start(server, "j1")
    await server.post("/heartbeat", {"worker_id": "w-1", "jobs": {job["job_id"]: {}}})
    workers = {worker["id"]: worker for worker in (await server.get("/workers")).json}
    for worker_id, worker in workers.items():
        assert (await server.get(f"/workers/{worker_id}")).json == worker
    unknown = await server.get("/workers/nobody")
    assert (unknown.status, unknown.json["code"]) == (404, "NOT_FOUND")
    assert workers["w-1"]["hostname"] == "h-1"
    assert workers["w-1"]["active_jobs"] >= 1
    assert "j1" in workers["w-1"]["queues"]


async def test_reclaimed_job_names_its_last_worker(bench: Bench, server: HttpServer) -> None:
    job = await start(server, "j2")
    await bench.tick(LEASE_MS)
    full = await job_of(server, job["job_id"])
    assert full["state"] == JobState.PENDING
    assert "lease expired: worker w-1" in full["errors"][0]["error"]
    assert full["timeline"][-1]["type"] == "reclaimed"
