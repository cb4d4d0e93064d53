"""Waiting fetches are woken at once, in the order of their arrival.

The timeouts of the fetches are longer than the tests, so only a wake-up can answer a fetch.
"""

import asyncio
import json
import signal
import time

from server_support.waiting import wait_until
from support.api_client import API, ApiClient, Body, LeasedJob, new_name
from support.server import CorvoServer, StartServer

LONG = 60


def waiting_fetch(
    api: ApiClient, *queues: str, worker_id: str = "worker-1"
) -> "asyncio.Task[LeasedJob | None]":
    """Start a fetch on a separate connection."""
    return asyncio.create_task(api.try_fetch(*queues, timeout=LONG, worker_id=worker_id))


async def answer_of(fetch: "asyncio.Task[LeasedJob | None]") -> LeasedJob:
    job = await asyncio.wait_for(fetch, LONG / 3)
    assert job is not None
    return job


async def test_an_enqueue_wakes_a_waiting_fetch(api: ApiClient, queue: str) -> None:
    fetch = waiting_fetch(api, new_name(), queue)
    await api.see_waiting(1)
    job_id = await api.enqueue(queue)
    assert (await answer_of(fetch))["job_id"] == job_id


async def test_a_batch_wakes_as_many_fetches_as_it_has_jobs(api: ApiClient, queue: str) -> None:
    fetches = [waiting_fetch(api, queue) for _ in range(4)]
    await api.see_waiting(4)
    await api.post("/enqueue/batch", {"jobs": [{"queue": queue, "payload": i} for i in range(3)]})
    await wait_until(lambda: sum(fetch.done() for fetch in fetches) == 3)
    served = [await answer_of(fetch) for fetch in fetches if fetch.done()]
    assert sorted(job["payload"] for job in served) == [0, 1, 2]
    (last,) = [fetch for fetch in fetches if not fetch.done()]
    await api.see_waiting(1)
    await api.enqueue(queue, "last")
    assert (await answer_of(last))["payload"] == "last"


async def test_a_waiting_batch_fetch_takes_all_that_one_request_brings(
    api: ApiClient, queue: str
) -> None:
    fetch = asyncio.create_task(api.fetch_batch(queue, count=10, timeout=LONG))
    await api.see_waiting(1)
    await api.post("/enqueue/batch", {"jobs": [{"queue": queue}] * 7})
    assert len(await asyncio.wait_for(fetch, LONG / 3)) == 7


async def test_the_fetch_that_has_waited_longest_is_served_first(
    api: ApiClient, queue: str
) -> None:
    fetches = []
    for i in range(5):
        fetches.append(waiting_fetch(api, queue, worker_id=f"worker-{i}"))
        await api.see_waiting(i + 1)
    for fetch in fetches:
        # A commit may also wake the next fetch, which then finds no job. A job that is enqueued
        # during this search goes to the fetch after it.
        await api.see_no_claims()
        job_id = await api.enqueue(queue)
        assert (await answer_of(fetch))["job_id"] == job_id


async def test_a_promotion_wakes_a_waiting_fetch(api: ApiClient, queue: str) -> None:
    await api.enqueue(queue, retry_backoff="fixed", retry_base_delay="200ms")
    await api.fail(await api.fetch(queue))
    assert (await answer_of(waiting_fetch(api, queue)))["attempt"] == 2


async def test_a_release_wakes_a_waiting_fetch(api: ApiClient, queue: str) -> None:
    await api.enqueue(queue)
    leased = await api.fetch(queue)
    fetch = waiting_fetch(api, queue)
    await api.see_waiting(1)
    await api.release(leased)
    assert (await answer_of(fetch))["job_id"] == leased["job_id"]


async def test_a_fetch_without_a_job_is_answered_at_its_timeout(api: ApiClient, queue: str) -> None:
    started = time.monotonic()
    body = {"queues": [queue], "worker_id": "w", "timeout": 0.2}
    response = await api.send("POST", "/fetch", body)
    assert (response.status_code, response.content) == (204, b"")
    assert time.monotonic() - started >= 0.2
    assert await api.post("/fetch/batch", {**body, "count": 3}) == {"jobs": []}
    await api.enqueue(queue)  # no fetch waits any more
    assert (await api.fetch(queue))["attempt"] == 1


async def test_a_fetch_that_disconnects_leaves_its_job_to_the_next(
    api: ApiClient, queue: str
) -> None:
    gone = waiting_fetch(api, queue, worker_id="gone")
    await api.see_waiting(1)
    next_one = waiting_fetch(api, queue, worker_id="next")
    await api.see_waiting(2)
    gone.cancel()
    await api.see_waiting(1)
    await api.enqueue(queue)
    job = await answer_of(next_one)
    assert (await api.job(job["job_id"]))["worker_id"] == "next"
    assert job["attempt"] == 1


async def test_a_disconnect_at_the_time_of_the_enqueue_costs_no_attempt(
    start_server: StartServer, queue: str
) -> None:
    """The server reads the end of one connection and the enqueue at the same time."""
    server = start_server()
    async with ApiClient(server.url) as api:
        fetch = {"queues": [queue], "worker_id": "gone", "timeout": LONG}
        for _ in range(5):
            gone = await send(server, "/fetch", fetch)
            await api.see_waiting(1)
            next_one = waiting_fetch(api, queue)
            await api.see_waiting(2)
            server.signal(signal.SIGSTOP)
            await hang_up(gone)
            producer = await send(server, "/enqueue", {"queue": queue})
            server.signal(signal.SIGCONT)
            job = await answer_of(next_one)
            assert job["attempt"] == 1
            await api.ack(job)
            await hang_up(producer)


async def test_waiting_fetches_are_answered_when_the_server_stops(
    start_server: StartServer, queue: str
) -> None:
    server = start_server()
    async with ApiClient(server.url) as api:
        single = waiting_fetch(api, queue)
        batch = asyncio.create_task(api.fetch_batch(queue, count=5, timeout=LONG))
        await api.see_waiting(2)
        assert await asyncio.to_thread(server.stop) == 0
        assert await single is None
        assert await batch == []
    statuses = {line["path"]: line["status"] for line in server.log if "path" in line}
    assert statuses[f"{API}/fetch"] == 204
    assert "stopping: answering 2 waiting fetches" in server.messages()


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def send(server: CorvoServer, path: str, body: Body) -> Connection:
    """Send a request on a raw connection, which can be closed without a response."""
    content = json.dumps(body).encode()
    head = (
        f"POST {API}{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head.encode() + content)
    await writer.drain()
    return reader, writer


async def hang_up(connection: Connection) -> None:
    _, writer = connection
    writer.close()
    await writer.wait_closed()
