"""What a key with a scope gets from every endpoint about queues outside its scope.

Each endpoint has an entry: the calls by which it is tested, or why it needs none. An endpoint
without an entry fails.
"""

import asyncio
import re
from string import Template
from typing import Any, NamedTuple

import orjson
import pytest
import pytest_asyncio

from corvo_schema import ApiKeyRequest, new_batch_id, new_bulk_id, new_job_id, new_schedule_id
from corvo_schema.states import JobState
from corvo_server.app import RESOURCES
from corvo_server.auth.caller import SERVER, caller
from corvo_server.services.bulk import BulkRunner
from server_support.bench import Bench, make_job, turns, until
from server_support.http import API, Connection, HttpServer, Reply, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENDPOINTS = {
    endpoint.handler.__name__: endpoint for resource in RESOURCES for endpoint in resource.endpoints
}
UNSCOPED = {
    "info": "versions",
    "openapi": "the description of the API",
    "docs": "the description of the API",
    "healthz": "open",
    "readyz": "open",
    "auth_status": "the key of the call alone",
    "list_keys": "admins have no scope",
    "create_key": "admins have no scope",
    "rotate_key": "admins have no scope",
    "revoke_key": "admins have no scope",
    **dict.fromkeys(
        (
            *("list_webhooks", "create_webhook", "replace_webhook", "delete_webhook"),
            *("rotate_webhook", "list_webhook_sources", "create_webhook_source"),
            *("rotate_webhook_source", "delete_webhook_source"),
        ),
        "admins have no scope",
    ),
    "list_audit": "test_audit.py has its cases",
    "receive_webhook": "the sender has no key but a secret of its source",
}
"""Endpoints that tell nothing about queues, with the reason."""


class Forbidden(NamedTuple):
    """A call that would use a queue outside the scope: 403, with the path of the field."""

    field: str
    body: Any = None
    path: str | None = None


class Unknown(NamedTuple):
    """A call that names an object: answered as if the object did not exist."""

    body: Any = None
    path: str | None = None


class Silent(NamedTuple):
    """A call whose reply must not mention anything of other queues."""

    body: Any = None


Probe = Forbidden | Unknown | Silent
_QUEUE = "/queues/blue.mail"
_ONE = {"job_id": "$job"}
_PLAN = {"name": "red-plan", "cron": "* * * * *"}

PROBES: dict[str, list[Probe]] = {
    "enqueue": [Forbidden("queue", {"queue": "blue.mail"})],
    "enqueue_batch": [
        Forbidden("jobs[1].queue", {"jobs": [{"queue": "red.a"}, {"queue": "blue.mail"}]}),
        Forbidden("jobs[0].queue", {"jobs": [{"queue": "blue.mail", "tags": {"a": "b"}}]}),
        Forbidden(
            "batch.callback_queue",
            {"jobs": [{"queue": "red.a"}], "batch": {"callback_queue": "blue.mail"}},
        ),
    ],
    "fetch": [Forbidden("queues[1]", {"queues": ["red.a", "blue.mail"], "worker_id": "w"})],
    "fetch_batch": [
        Forbidden("queues[0]", {"queues": ["blue.mail"], "worker_id": "w", "count": 2})
    ],
    "get_job": [Unknown()],
    "bulk_get": [Unknown({"job_ids": ["$job"]})],
    "cancel_job": [Unknown()],
    "retry_job": [Unknown()],
    "requeue_job": [Unknown()],
    "move_job": [
        Unknown({"queue": "red.a"}),
        Forbidden("queue", {"queue": "blue.mail"}, "/jobs/$own/move"),
    ],
    "change_priority": [Unknown({"priority": "high"})],
    "delete_job": [Unknown()],
    "search_jobs": [
        Silent({}),
        Silent({"queue": "blue.mail"}),
        Silent({"job_id_prefix": "$job"}),
        Silent({"state": ["dead", "active"], "sort": "started_at"}),
        Silent({"batch_id": "$batch"}),
        Silent({"worker_id": "blue-worker"}),
        Silent({"unique_key": "blue-key"}),
    ],
    "ack": [Unknown({}), Unknown({"lease_token": "$token"})],
    "ack_batch": [Unknown({"acks": [{**_ONE, "lease_token": "$token"}]})],
    "fail": [Unknown({"error": "x"}), Unknown({"error": "x", "lease_token": "$token"})],
    "fail_batch": [Unknown({"fails": [{**_ONE, "error": "x"}]})],
    "release": [Unknown({})],
    "release_batch": [Unknown({"releases": [_ONE]})],
    "heartbeat": [Unknown({"jobs": {"$job": {"lease_token": "$token", "progress": {"a": 1}}}})],
    "list_batches": [Silent()],
    "get_batch": [Unknown()],
    "bulk": [
        Unknown({"action": "delete", "job_ids": ["$job"]}),
        Silent({"action": "delete", "filter": {"queue": "blue.mail"}}),
        Silent({"action": "cancel", "filter": {}}),
        Silent({"action": "retry", "filter": {"worker_id": "blue-worker"}}),
        Forbidden(
            "move_to_queue",
            {"action": "move", "filter": {}, "move_to_queue": "blue.mail"},
        ),
    ],
    "list_bulk": [Silent()],
    "get_bulk": [Unknown(), Unknown(None, "/bulk/$emptying")],
    "follow_bulk": [Unknown(), Unknown(None, "/bulk/$emptying/progress")],
    "cancel_bulk": [Unknown(), Unknown(None, "/bulk/$emptying/cancel")],
    "list_queues": [Silent()],
    "get_queue": [Unknown()],
    "pause_queue": [Forbidden("name")],
    "resume_queue": [Forbidden("name")],
    "drain_queue": [Forbidden("name")],
    "clear_queue": [Unknown()],
    "delete_queue": [Unknown(None, "/queues/$queue?confirm=true")],
    "limit_queue": [Forbidden("name", {"max": 1})],
    "throttle_queue": [Forbidden("name", {"rate": 1, "window_ms": 1000})],
    "unthrottle_queue": [Forbidden("name")],
    "set_defaults": [Forbidden("name", {"max_retries": 1})],
    "clear_defaults": [Forbidden("name")],
    "list_schedules": [Silent()],
    "put_schedule": [Forbidden("queue", {**_PLAN, "queue": "blue.mail"})],
    "get_schedule": [Unknown(), Unknown(None, "/schedules/blue-plan")],
    "replace_schedule": [
        Unknown({**_PLAN, "queue": "red.a"}),
        Forbidden("queue", {**_PLAN, "queue": "blue.mail"}),
    ],
    "delete_schedule": [Unknown()],
    "pause_schedule": [Unknown()],
    "resume_schedule": [Unknown()],
    "run_schedule": [Unknown(), Unknown(None, "/schedules/blue-plan/run")],
    "events": [Silent()],
    "metrics": [Silent()],
    "list_workers": [Silent()],
    "get_worker": [Unknown()],
    "cluster_status": [Silent()],
}
CASES = [(name, probe) for name, probes in PROBES.items() for probe in probes]


class World(NamedTuple):
    """The objects outside the scope, and a key."""

    server: HttpServer
    headers: dict[str, str]
    """Headers with the key that has the scope `red.*`, and all roles but admin."""
    theirs: dict[str, str]
    nothing: dict[str, str]
    """Ids of the same form that do not exist."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(server: HttpServer, bench: Bench) -> World:
    await server.require_keys()
    bench.clock.forward(1)
    roles = ("operator", "producer", "worker", "readonly")
    key = await server.new_key(*roles, queues=["red.*"])
    theirs = await make_blue(server, bench)
    own = await bench.enqueue("red.a")
    plain = {"own": own, "token": theirs["token"]}
    nothing = {
        "job": new_job_id(),
        "batch": new_batch_id(),
        "bulk": new_bulk_id(),
        "emptying": new_bulk_id(),
        "schedule": new_schedule_id(),
        "plan": "no-plan",
        "queue": "red.unknown",
        "worker": "no-worker",
    }
    return World(server, server.with_key(key), theirs | plain, nothing | plain)


async def make_blue(server: HttpServer, bench: Bench) -> dict[str, str]:
    """Make one object of each kind in the queue `blue.mail`, by a key without a scope."""
    job = await bench.start(queue="blue.mail", worker="blue-worker", unique_key="blue-key")
    await bench.bring_to(JobState.DEAD, queue="blue.mail")
    _, batch = await bench.enqueue_batch(
        *[_blue_job() for _ in range(2)], callback="blue.mail", callback_payload=1
    )
    plan = {"name": "blue-plan", "cron": "* * * * *", "queue": "blue.mail"}
    schedule = (await server.post("/schedules", plan)).json
    bulk = {"action": "cancel", "filter": {"queue": "blue.other"}, "async": True}
    operation = (await server.post("/jobs/bulk", bulk)).json
    await server.post("/enqueue", {"queue": "blue.full"})
    jobs = [{"queue": "blue.full"}] * 300
    await server.post("/enqueue/batch", {"jobs": jobs})
    clearing = asyncio.create_task(server.call("DELETE", f"{API}/queues/blue.full?confirm=true"))
    while not clearing.done():
        await BulkRunner(bench.engine.bulk).run_once()
    assert (await clearing).status == 200
    (emptying, *_) = [each for each in await bench.engine.bulk.list() if each.queue]
    return {
        "job": job.head.id,
        "token": str(job.head.lease_token),
        "batch": str(batch),
        "bulk": operation["bulk_operation_id"],
        "emptying": emptying.id,
        "schedule": schedule["id"],
        "plan": "blue-plan",
        "queue": "blue.mail",
        "worker": "blue-worker",
    }


def _blue_job() -> Any:
    return make_job("blue.mail")


async def test_every_endpoint_has_an_entry() -> None:
    assert PROBES.keys() | UNSCOPED.keys() == ENDPOINTS.keys()
    assert not PROBES.keys() & UNSCOPED.keys()


def _filled(text: str, names: dict[str, str]) -> str:
    return Template(text).safe_substitute(names)


async def call(world: World, name: str, probe: Probe, names: dict[str, str]) -> Reply:
    """Make the call of a probe, with the names put in."""
    endpoint = ENDPOINTS[name]
    path = re.sub(r"<(job|batch|bulk|worker)_id:\w+>", r"$\1", endpoint.path)
    path = re.sub(r"<name:\w+>", "$queue", re.sub(r"<schedule:\w+>", "$schedule", path))
    if not isinstance(probe, Silent) and probe.path is not None:
        path = API + probe.path
    body = None
    if probe.body is not None:
        body = orjson.loads(_filled(orjson.dumps(probe.body).decode(), names))
    filled = _filled(path, names)
    if filled.startswith(f"{API}/schedules/blue-plan"):
        filled = filled.replace("blue-plan", names["plan"])
    return await world.server.call(endpoint.method, filled, body, headers=world.headers)


def _comparable(reply: Reply, names: dict[str, str]) -> object:
    """Return what must not depend on whether an object exists, without its names."""
    text = reply.body.decode()
    for kind, value in names.items():
        text = text.replace(value, f"<{kind}>")
    text = re.sub(r'"(duration_ms|request_id)":[^,}]*', "", text)
    return reply.status, reply.headers.get("content-type"), text


@pytest.mark.parametrize(("name", "probe"), CASES)
async def test_endpoint_tells_nothing_of_other_queues(
    world: World, name: str, probe: Probe
) -> None:
    if name == "events":
        await events_are_silent(world)
        return
    before = await picture(world)
    reply = await call(world, name, probe, world.theirs)
    if isinstance(probe, Forbidden):
        assert (reply.status, reply.json["code"]) == (403, "FORBIDDEN")
        assert [detail["field"] for detail in reply.json["details"]] == [probe.field]
        assert "'blue.mail'" in reply.json["error"]
    elif isinstance(probe, Unknown):
        missing = await call(world, name, probe, world.nothing)
        assert _comparable(reply, world.theirs) == _comparable(missing, world.nothing)
        assert reply.status in {404, 200}
    else:
        assert reply.status == 200
        text = reply.body.decode()
        for hidden in ("blue", *(world.theirs[kind] for kind in ("job", "batch", "bulk"))):
            assert hidden not in text
    assert await picture(world) == before, "the call has changed something of another queue"


async def picture(world: World) -> object:
    """Return all jobs, queues, schedules and operations outside the scope."""
    engine = world.server.engine
    assert caller() is SERVER
    queues = [queue for queue in await engine.store.list_queues() if queue.name.startswith("blue")]
    schedules = await engine.store.list_schedules()
    job = await engine.store.find_job(world.theirs["job"])
    bulks = [await engine.store.find_bulk(world.theirs[kind]) for kind in ("bulk", "emptying")]
    workers = [each for each in await engine.workers.list() if each.id.startswith("blue")]
    return queues, schedules, job, bulks, workers


async def events_are_silent(world: World) -> None:
    feed = await follow(world, "?last_event_id=0")
    await world.server.engine.queues.pause("blue.mail")
    seen = await world.server.post("/enqueue", {"queue": "red.a"}, headers=world.headers)
    text = ""
    while seen.json["job_id"] not in text:
        text += (await chunk(feed)).decode()
    assert "blue" not in text
    assert world.theirs["job"] not in text


async def follow(world: World, query: str = "") -> Connection:
    """Follow the events with the key. Return once the stream has begun."""
    connection = await world.server.connect()
    await connection.send(request("GET", f"{API}/events{query}", headers=world.headers))
    assert (await asyncio.wait_for(connection.receive(), 5)).status == 200
    await chunk(connection)
    return connection


async def chunk(connection: Connection) -> bytes:
    """Return the next chunk of a stream; empty at its end."""
    size = int(await asyncio.wait_for(connection.reader.readuntil(b"\r\n"), 5), 16)
    data = await connection.reader.readexactly(size + 2)
    return data[:-2]


async def test_cluster_status_has_no_load(world: World) -> None:
    for headers, is_told in ((world.headers, False), (world.server.headers, True)):
        (node,) = (await world.server.get("/cluster/status", headers=headers)).json["nodes"]
        numbers = [node[name] for name in ("waiting_fetches", "backlog", "operations_per_second")]
        assert all((number is not None) is is_told for number in numbers)


async def test_metrics_have_the_queues_of_the_key_alone(world: World) -> None:
    text = (await world.server.get("/metrics", headers=world.headers)).body.decode()
    families = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert families == {"corvo_jobs", "corvo_oldest_pending_seconds"}
    assert 'queue="red.a"' in text


async def test_event_of_a_moved_job_does_not_name_the_queue_that_it_left(
    world: World, bench: Bench
) -> None:
    feed = await follow(world)
    job_id = await bench.enqueue("blue.mail")
    await bench.engine.jobs.move(job_id, "red.a")
    text = (await chunk(feed)).decode()
    assert '"type":"moved"' in text
    assert "blue" not in text
    job = (await world.server.get(f"/jobs/{job_id}", headers=world.headers)).json
    assert [event["type"] for event in job["timeline"]] == ["moved"]
    assert "blue" not in str(job)
    await bench.engine.jobs.move(job_id, "red.b")
    job = (await world.server.get(f"/jobs/{job_id}", headers=world.headers)).json
    assert job["timeline"][-1]["data"] == {"reason": "from red.a"}
    await bench.engine.jobs.delete(job_id)


async def test_taken_job_id_tells_nothing_of_its_job(world: World, bench: Bench) -> None:
    body = {"queue": "red.a", "job_id": world.theirs["job"], "payload": {}}
    for path, sent in (("/enqueue", body), ("/enqueue/batch", {"jobs": [body]})):
        reply = await world.server.post(path, sent, headers=world.headers)
        assert (reply.status, reply.json["code"]) == (409, "INVALID_STATE")
        assert "blue" not in reply.json["error"]
        assert "active" not in reply.json["error"]
        assert "payload" not in reply.json["error"]


async def test_repeated_enqueue_of_a_job_that_was_moved_away_succeeds(
    world: World, bench: Bench
) -> None:
    body = {"queue": "red.a", "job_id": new_job_id()}
    assert (await world.server.post("/enqueue", body, headers=world.headers)).status == 201
    await bench.engine.jobs.move(body["job_id"], "blue.mail")
    await bench.engine.jobs.cancel(body["job_id"])
    reply = await world.server.post("/enqueue", body, headers=world.headers)
    assert (reply.status, reply.json["status"]) == (200, "pending")
    await bench.engine.jobs.delete(body["job_id"])


async def test_taken_name_of_a_schedule_tells_no_id(world: World) -> None:
    body = {"name": "blue-plan", "cron": "* * * * *", "queue": "red.a"}
    own = {**body, "name": "red-own"}
    made = await world.server.post("/schedules", own, headers=world.headers)
    for method, path in (("POST", "/schedules"), ("PUT", f"/schedules/{made.json['id']}")):
        reply = await world.server.call(method, API + path, body, headers=world.headers)
        assert (reply.status, reply.json["code"]) == (409, "INVALID_STATE")
        assert world.theirs["schedule"] not in reply.body.decode()
        assert "blue.mail" not in reply.body.decode()


async def test_worker_of_two_keys_is_seen_with_the_queues_of_each(
    world: World, bench: Bench
) -> None:
    await bench.enqueue("red.two")
    await bench.enqueue("blue.two")
    for _ in range(2):
        await bench.fetch_one("red.two", "blue.two", worker="shared")
    worker = (await world.server.get("/workers/shared", headers=world.headers)).json
    assert (worker["queues"], worker["active_jobs"]) == (["red.two"], 1)
    whole = (await world.server.get("/workers/shared")).json
    assert (whole["queues"], whole["active_jobs"]) == (["red.two", "blue.two"], 2)


async def new_caller(world: World, **more: object) -> tuple[str, dict[str, str]]:
    """Make a key for `red.*`. Return its id and the headers of its calls."""
    fields = {"name": "brief", "roles": ["operator", "worker"], "queues": ["red.*"], **more}
    made = await world.server.engine.keys.create(ApiKeyRequest.model_validate(fields))
    return made[0].id, world.server.with_key(made[1])


@pytest.mark.parametrize("end", ["revoked", "expired"])
async def test_long_calls_end_with_their_key(world: World, bench: Bench, end: str) -> None:
    engine = world.server.engine
    more = {"expires_after": "1h"} if end == "expired" else {}
    key_id, headers = await new_caller(world, **more)
    feed = await follow(world._replace(headers=headers))
    bulk = {"action": "cancel", "filter": {}, "async": True}
    operation = (await world.server.post("/jobs/bulk", bulk, headers=headers)).json
    progress = await world.server.connect()
    path = f"{API}/bulk/{operation['bulk_operation_id']}/progress"
    await progress.send(request("GET", path, headers=headers))
    assert (await progress.receive()).status == 200
    assert b"queued" in await chunk(progress)
    body = {"queues": ["red.empty"], "worker_id": "w", "timeout": 60}
    waiting = engine.notifier.waiting
    fetch = asyncio.create_task(world.server.post("/fetch", body, headers=headers))
    await until(lambda: engine.notifier.waiting == waiting + 1)
    if end == "revoked":
        await engine.keys.revoke(key_id)
    else:
        bench.clock.forward(3_600_000)
        await engine.keys.refresh()
    refused = await fetch
    assert (refused.status, refused.json["code"]) == (401, "UNAUTHORIZED")
    assert end in refused.json["error"]
    assert await chunk(feed) == b""
    assert await chunk(progress) == b""
    job_id = await bench.enqueue("red.empty")
    assert await bench.state(job_id) is JobState.PENDING
    await bench.engine.jobs.delete(job_id)
    await engine.bulk.cancel(operation["bulk_operation_id"])


async def test_job_that_is_claimed_while_the_key_ends_goes_back(world: World, bench: Bench) -> None:
    _, headers = await new_caller(world, expires_after="1h")
    body = {"queues": ["red.late"], "worker_id": "w", "timeout": 60}
    waiting = bench.engine.notifier.waiting
    fetch = asyncio.create_task(world.server.post("/fetch", body, headers=headers))
    await until(lambda: bench.engine.notifier.waiting == waiting + 1)
    with bench.kit.hold_commits(bench.store):
        enqueued = asyncio.create_task(bench.enqueue("red.late"))
        await turns()
        bench.clock.forward(3_600_000)
    job_id = await enqueued
    assert (await fetch).status == 401
    await bench.settle()
    assert await bench.state(job_id) is JobState.PENDING
    assert "released" in [event.value for event in await bench.events(job_id)]
    await bench.engine.jobs.delete(job_id)


async def test_background_operation_keeps_its_scope(world: World, bench: Bench) -> None:
    ids = [await bench.enqueue(queue) for queue in ("red.bulk", "blue.bulk", "red.later")]
    _, headers = await new_caller(world)
    for selected in ({"filter": {"created_after": "2020-01-01T00:00:00Z"}}, {"job_ids": ids}):
        body = {"action": "cancel", "async": True, **selected}
        operation = (await world.server.post("/jobs/bulk", body, headers=headers)).json
        bulk_id = operation["bulk_operation_id"]
        for who, status in ((headers, 200), (world.headers, 200), (world.server.headers, 200)):
            reply = await world.server.get(f"/bulk/{bulk_id}", headers=who)
            assert reply.status == status
        await BulkRunner(bench.engine.bulk).run_once()
        ended = (await world.server.get(f"/bulk/{bulk_id}", headers=world.headers)).json
        assert ended["status"] == "completed"
        listed = (await world.server.get("/bulk", headers=world.headers)).json
        assert bulk_id in [each["id"] for each in listed]
        other = world.server.with_key(await world.server.new_key("operator", queues=["red.a"]))
        assert (await world.server.get(f"/bulk/{bulk_id}", headers=other)).status == 404
        assert (await world.server.get("/bulk", headers=other)).json == []
    states = [await bench.state(job_id) for job_id in ids]
    assert states == [JobState.CANCELLED, JobState.PENDING, JobState.CANCELLED]
