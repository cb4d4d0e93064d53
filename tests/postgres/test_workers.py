"""The list of workers is the same on two servers on one database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import pytest

from corvo_client.worker import Worker
from server_support.waiting import wait_until
from support.api_client import ApiClient, new_name
from support.server import CorvoServer, StartServer


class Pair(NamedTuple):
    """Two servers on one database, with a client of each."""

    servers: tuple[CorvoServer, CorvoServer]
    one: ApiClient
    other: ApiClient


@pytest.fixture
async def pair(empty_postgres_url: str, make_server: StartServer) -> AsyncIterator[Pair]:
    one, other = (make_server(database=empty_postgres_url).start() for _ in range(2))
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(ApiClient(each.url)) for each in (one, other)]
        yield Pair((one, other), *clients)


async def find(api: ApiClient, worker_id: str) -> dict[str, Any] | None:
    found = [worker for worker in await api.get("/workers") if worker["id"] == worker_id]
    return found[0] if found else None


async def see(api: ApiClient, worker_id: str) -> dict[str, Any]:
    """Wait until a server knows the queues of a worker, and return it."""

    async def is_listed() -> bool:
        found = await find(api, worker_id)
        return found is not None and bool(found["queues"])

    await wait_until(is_listed, f"{worker_id} is listed")
    found: dict[str, Any] = await api.get(f"/workers/{worker_id}")
    return found


async def test_worker_of_one_server_is_listed_by_the_other_until_it_stops(pair: Pair) -> None:
    queue = new_name()
    worker = Worker(pair.servers[0].url)

    @worker.task(queue)
    async def handler() -> None: ...

    async with worker:
        await pair.other.enqueue(queue, {})
        there = await see(pair.other, worker.id)
        here = await find(pair.one, worker.id)
        assert here is not None
        for field in ("hostname", "queues", "started_at", "status"):
            assert there[field] == here[field]
        assert there["hostname"]
        assert (there["queues"], there["status"]) == ([queue], "ok")
        assert there["last_fetch"] is not None
    assert await find(pair.one, worker.id) is None
    assert await find(pair.other, worker.id) is None


async def test_worker_that_called_both_servers_is_gone_from_both(pair: Pair) -> None:
    queue = new_name()
    fetch = {"queues": [queue], "worker_id": "w", "hostname": "h", "timeout": 0}
    for api in (pair.one, pair.other, pair.one):
        await api.post("/fetch", fetch)
    assert await find(pair.one, "w")
    assert await find(pair.other, "w")
    await pair.one.post("/heartbeat", {"worker_id": "w", "jobs": {}, "stopped": True})
    for _ in range(7):  # past the next report of each server
        assert await find(pair.one, "w") is None
        assert await find(pair.other, "w") is None
        await pair.other.post("/fetch", fetch | {"worker_id": "v", "timeout": 1})


async def test_workers_of_a_killed_server_stay_listed(pair: Pair) -> None:
    queue = new_name()
    await pair.one.post("/fetch", {"queues": [queue], "worker_id": "w", "timeout": 0})
    before = await see(pair.other, "w")
    await asyncio.to_thread(pair.servers[0].kill)
    assert await pair.other.get("/workers/w") == before
    await asyncio.to_thread(pair.servers[0].restart)
    assert await pair.one.get("/workers/w") == before
