"""Clients of a server that stops, dies and restarts: no call is lost or repeated."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from corvo_client import AsyncClient, Client, RetryPolicy, new_job_id
from server_support.waiting import wait_until
from support.clients import as_async
from support.server import CorvoServer, StartServer

PATIENT = RetryPolicy(max_attempts=1000, max_elapsed=60, longest_delay=0.2)
KILLS = 3

Enqueue = Callable[[AsyncClient, int], Awaitable[str]]


async def enqueue(client: AsyncClient, number: int) -> str:
    return (await client.enqueue("q", number)).job_id


async def enqueue_with_id(client: AsyncClient, number: int) -> str:
    return (await client.enqueue("q", number, job_id=new_job_id())).job_id


async def enqueue_batch(client: AsyncClient, number: int) -> str:
    (job_id,) = (await client.enqueue_batch([{"queue": "q", "payload": number}])).job_ids
    return job_id


@pytest.mark.parametrize(
    ("kind", "make"),
    [(AsyncClient, enqueue), (AsyncClient, enqueue_batch), (Client, enqueue_with_id)],
)
async def test_enqueues_continue_across_kills(
    start_server: StartServer, kind: type[AsyncClient] | type[Client], make: Enqueue
) -> None:
    server = start_server()
    plain = kind(server.url, retry=PATIENT)
    client = plain if isinstance(plain, AsyncClient) else as_async(plain)
    done: dict[int, str] = {}
    is_over = False

    async def produce(first: int) -> None:
        number = first
        while not is_over:
            done[number] = await make(client, number)
            number += 20

    async with asyncio.TaskGroup() as producers:
        for first in range(20):
            producers.create_task(produce(first))
        for _ in range(KILLS):
            await see_more(done)
            server.kill()
            await asyncio.to_thread(server.restart)
        await see_more(done)
        is_over = True

    assert len(set(done.values())) == len(done)
    assert (await client.get_queue("q")).enqueued == len(done)
    jobs = await client.bulk_get(done.values())
    assert [job.payload for job in jobs] == list(done)
    await client.close()


async def test_callers_do_not_notice_a_restart(start_server: StartServer) -> None:
    server = start_server()
    async with AsyncClient(server.url, retry=PATIENT) as client:
        first = await client.enqueue("q", 0)
        assert await asyncio.to_thread(server.stop) == 0
        calls = [asyncio.create_task(client.get_job(first.job_id)) for _ in range(5)]
        calls += [asyncio.create_task(client.get_job(first.job_id)) for _ in range(5)]
        await asyncio.to_thread(server.restart)
        jobs = await asyncio.gather(*calls)
        assert {job.id for job in jobs} == {first.job_id}


async def test_outcomes_are_delivered_after_a_kill(start_server: StartServer) -> None:
    server = start_server()
    async with AsyncClient(server.url, retry=PATIENT) as client:
        await client.enqueue_batch([{"queue": "q", "payload": i} for i in range(100)])
        jobs = await client.fetch_batch(["q"], worker_id="w", count=100, lease_duration=60)
        server.kill()
        acks = [asyncio.create_task(client.ack(job, job.payload)) for job in jobs[:90]]
        fails = [asyncio.create_task(client.fail(job, "no", retry=False)) for job in jobs[90:]]
        await asyncio.to_thread(server.restart)
        await asyncio.gather(*acks)
        assert [(await fail).status for fail in fails] == ["dead"] * 10
        queue = await client.get_queue("q")
        assert (queue.completed, queue.dead, queue.failed) == (90, 10, 10)


async def test_a_server_that_dies_during_a_waiting_fetch_loses_no_job(
    start_server: StartServer,
) -> None:
    """The client does not repeat a fetch, which may have leased a job. The caller fetches again."""
    server = start_server()
    async with AsyncClient(server.url, retry=PATIENT) as client:
        fetch = asyncio.create_task(client.fetch(["q"], worker_id="w", timeout=60))
        await see_waiting(server, client)
        server.kill()
        with pytest.raises(ConnectionError):
            await fetch
        await asyncio.to_thread(server.restart)
        job_id = (await client.enqueue("q")).job_id
        job = await client.fetch(["q"], worker_id="w", timeout=60)
        assert job is not None
        assert (job.job_id, job.attempt) == (job_id, 1)


async def see_more(done: dict[int, str]) -> None:
    enough = len(done) + 50
    await wait_until(lambda: len(done) >= enough, "50 more jobs")


async def see_waiting(server: CorvoServer, client: AsyncClient) -> None:
    async def is_seen() -> bool:
        return any(worker.id == "w" for worker in await client.list_workers())

    await wait_until(is_seen)
    assert server.process.is_running


async def test_calls_made_at_the_same_time_share_requests(start_server: StartServer) -> None:
    server = start_server()
    async with AsyncClient(server.url) as client:
        replies = await asyncio.gather(*(client.enqueue("q", i) for i in range(200)))
        ids = [reply.job_id for reply in replies]
        assert len(set(ids)) == 200
        # Each caller received the reply to its own call.
        assert [job.payload for job in await client.bulk_get(ids)] == list(range(200))

        jobs = await client.fetch_batch(["q"], worker_id="w", count=200, timeout=0)
        await asyncio.gather(*(client.ack(job, job.payload) for job in jobs))
        assert [job.result for job in await client.bulk_get(ids)] == list(range(200))
    assert await asyncio.to_thread(server.stop) == 0
    paths = [line["path"] for line in server.log if "path" in line]
    for verb in ("enqueue", "ack"):
        assert 1 <= sum(f"/{verb}" in path for path in paths) <= 10
    assert len({line["client"] for line in server.log if "client" in line}) == 1


async def test_a_client_retries_during_a_restart_if_the_environment_says_so(
    start_server: StartServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The retries last longer than a restart, also with the shortest random delays."""
    monkeypatch.setenv("CORVO_RETRY_SECONDS", "60")
    server = start_server()
    caplog.set_level(logging.INFO, logger="corvo.client")
    async with AsyncClient(server.url) as client:
        server.kill()
        call = asyncio.create_task(client.enqueue("q"))
        await wait_until(lambda: caplog.text.count("retrying in") >= 6 or call.done())
        await asyncio.to_thread(server.restart)
        assert (await call).status == "pending"
