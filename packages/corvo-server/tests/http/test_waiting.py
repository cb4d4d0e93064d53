"""Long polls: a new job is fetched at once, and a disconnected client gets none."""

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
from sanic.compat import Header

from corvo_schema.states import EventType, JobState
from corvo_server.engine.engine import Engine
from corvo_server.http.attempts import fetch, fetch_batch
from corvo_server.store.protocol import StoreOverloaded
from server_support.bench import Bench, until
from server_support.http import API, Connection, HttpServer, Reply, request, serve

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def start_waiting(server: HttpServer, queue: str, *, path: str = "/fetch") -> Connection:
    """Return a connection whose fetch waits at the server."""
    before = server.engine.notifier.waiting
    connection = await server.connect()
    body = {"queues": [queue], "worker_id": "w", "timeout": 60}
    await connection.send(request("POST", API + path, body))
    await until(lambda: server.engine.notifier.waiting == before + 1)
    await until(lambda: server.engine.store.backlog == 0)
    return connection


@pytest.mark.parametrize("path", ["/fetch", "/fetch/batch"])
async def test_fetch_is_answered_when_a_job_comes(server: HttpServer, path: str) -> None:
    waiting = await start_waiting(server, "w1", path=path)
    job_id = (await server.post("/enqueue", {"queue": "w1"})).json["job_id"]
    reply = await asyncio.wait_for(waiting.receive(), 5)
    assert reply.status == 200
    assert job_id in reply.body.decode()


@pytest.mark.parametrize(("path", "status"), [("/fetch", 204), ("/fetch/batch", 200)])
async def test_fetch_ends_after_its_timeout(server: HttpServer, path: str, status: int) -> None:
    body = {"queues": ["w2"], "worker_id": "w", "timeout": 0.01}
    reply = await asyncio.wait_for(server.post(path, body), 5)
    assert reply.status == status
    assert server.engine.notifier.waiting == 0


async def test_disconnected_client_is_forgotten(bench: Bench, server: HttpServer) -> None:
    gone = await start_waiting(server, "w3")
    gone.close()
    await until(lambda: server.engine.notifier.waiting == 0)
    job_id = (await server.post("/enqueue", {"queue": "w3"})).json["job_id"]
    assert await bench.state(job_id) is JobState.PENDING
    assert await bench.events(job_id) == [EventType.ENQUEUED]


async def test_job_goes_to_the_next_client_if_the_first_disconnected(server: HttpServer) -> None:
    gone = await start_waiting(server, "w4")
    waiting = await start_waiting(server, "w4")
    gone.close()
    job_id = (await server.post("/enqueue", {"queue": "w4"})).json["job_id"]
    reply = await asyncio.wait_for(waiting.receive(), 5)
    assert reply.json["job_id"] == job_id


async def test_job_is_released_if_its_client_disconnects_during_the_claim(
    bench: Bench, server: HttpServer
) -> None:
    job_id = await bench.enqueue("w5")
    with bench.kit.hold_commits(bench.store):
        gone = await server.connect()
        body = {"queues": ["w5"], "worker_id": "w", "timeout": 60}
        await gone.send(request("POST", f"{API}/fetch", body))
        await until(lambda: server.engine.notifier.waiting == 1)
        gone.close()
        await until(lambda: server.engine.notifier.waiting == 0)
    job = await bench.fetch_one("w5", wait=5)
    assert (job.head.id, job.head.attempt) == (job_id, 1)
    assert await bench.events(job_id) == [
        EventType.ENQUEUED,
        EventType.STARTED,
        EventType.RELEASED,
        EventType.STARTED,
    ]


@pytest.mark.parametrize(("handler", "status"), [(fetch, 204), (fetch_batch, 200)])
async def test_job_is_released_if_its_client_disconnects_before_the_reply(
    bench: Bench, server: HttpServer, handler: Any, status: int
) -> None:
    job_id = await bench.enqueue("w6")
    request = SimpleNamespace(
        body=b'{"queues": ["w6"], "worker_id": "w", "timeout": 0}',
        headers=Header({"content-type": "application/json"}),
        query_string="",
        app=SimpleNamespace(ctx=SimpleNamespace(engine=server.engine)),
        transport=SimpleNamespace(is_closing=lambda: True),
        stream=SimpleNamespace(
            protocol=SimpleNamespace(has_ended=lambda: False, waiting=contextlib.nullcontext)
        ),
    )
    reply = await handler(request)
    assert reply.status == status
    assert job_id not in str(reply.body)
    await until(lambda: server.engine.store.backlog == 0)
    assert await bench.state(job_id) is JobState.PENDING
    await bench.engine.jobs.cancel(job_id)


async def test_job_that_cannot_be_released_waits_for_its_lease(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await bench.start(queue="w7")

    def refuse(_: object) -> None:
        raise StoreOverloaded("9 writes are waiting")

    with monkeypatch.context() as patch:
        patch.setattr(bench.store, "transition", refuse)
        bench.engine.attempts.give_back([job])
    assert "1 jobs of a disconnected client were not released" in caplog.text
    assert "9 writes are waiting" in caplog.text
    with bench.kit.break_commits(bench.store):
        bench.engine.attempts.give_back([job])
        await bench.settle()
        await until(lambda: "disk is full" in caplog.text)
    assert await bench.state(job) is JobState.ACTIVE
    await bench.store.touch()  # so that the server is ready again
    bench.engine.attempts.give_back([])


async def test_waiting_fetches_end_when_the_server_closes(bench: Bench) -> None:
    engine = Engine(bench.store, clock=bench.clock)
    async with serve(engine) as server:
        single = await start_waiting(server, "w8")
        batch = await start_waiting(server, "w8", path="/fetch/batch")
        assert (await server.call("GET", "/readyz")).status == 200
        engine.start_closing()
        assert (await asyncio.wait_for(single.receive(), 5)).status == 204
        assert (await asyncio.wait_for(batch.receive(), 5)).json == {"jobs": []}
        ready = await server.call("GET", "/readyz")
        assert (ready.status, ready.json["code"]) == (503, "UNAVAILABLE")
        assert int(ready.headers["retry-after"]) >= 1
        assert (await server.call("GET", "/healthz")).status == 200


async def test_waiting_fetches_are_served_in_order(bench: Bench, server: HttpServer) -> None:
    waiting = [await start_waiting(server, "w9") for _ in range(5)]
    # All in one commit: otherwise a claim without result may be under way when the next job comes,
    # and the next waiter gets that job.
    sent: list[asyncio.Task[Reply]] = []
    with bench.kit.hold_commits(bench.store):
        held = bench.store.backlog
        for i in range(1, 6):
            sent.append(asyncio.ensure_future(server.post("/enqueue", {"queue": "w9"})))
            await until(lambda i=i: bench.store.backlog == held + 2 * i)  # the job, and a claim
    jobs = [(await reply).json["job_id"] for reply in sent]
    replies = [await asyncio.wait_for(connection.receive(), 5) for connection in waiting]
    assert [reply.json["job_id"] for reply in replies] == jobs
