"""The server keeps within the documented memory whatever its clients do, and serves small work.

`docs/operations.md` has the formula of the limit.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic

import httpx
import pytest

from server_support.waiting import wait_until
from support.api_client import ApiClient
from support.attacks import ATTACKS, MB, Attack, jobs_to_search
from support.server import CorvoServer, StartServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads the memory from /proc")

BASE, PER_CONNECTION, FACTOR = 128 * MB, 16 * 1024, 1.5
BUDGETS = 2 * 64 * MB
"""Default bytes of bodies and of unread replies."""
BACKLOG = 32 * MB
"""Default bytes of the writes that wait for their commit."""
FETCH = 8 * MB
"""Default bytes of the jobs of one fetch."""
LARGE_JOBS = 160
LEFT = 96 * MB
"""What the process may keep when all is over: caches, and holes in the heap."""
SLOWEST = 10.0
"""Seconds of the slowest answer of `/healthz`, on a busy machine."""


def memory(server: CorvoServer, name: str) -> int:
    """Return `VmRSS`, the memory of the process in bytes, or `VmHWM`, the largest so far."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) * 1024


def limit(connections: int) -> float:
    """Return the documented limit in bytes with so many connections."""
    return BASE + FACTOR * BUDGETS + BACKLOG + PER_CONNECTION * connections


@asynccontextmanager
async def probing(server: CorvoServer) -> AsyncIterator[list[float]]:
    """Call `/healthz` and enqueue small jobs all the time. Yield the durations of `/healthz`."""
    seconds: list[float] = []

    async def probe(client: httpx.AsyncClient) -> None:
        while True:
            started = monotonic()
            assert (await client.get("/healthz")).status_code == 200
            seconds.append(monotonic() - started)
            assert (await client.post("/api/v1/enqueue", json={"queue": "q"})).status_code == 201

    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        task = asyncio.create_task(probe(client))
        yield seconds
        assert not task.done(), task.exception()
        task.cancel()


@pytest.mark.parametrize("name", ATTACKS)
async def test_memory_stays_within_the_documented_limit(
    start_server: StartServer, name: str
) -> None:
    server = start_server()
    async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", timeout=30) as client:
        for _ in range(10):
            reply = await client.post("/enqueue/batch", json={"jobs": jobs_to_search()})
            assert reply.status_code == 201
    before = memory(server, "VmRSS")
    attack = Attack(server.port)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(attack.close)
        seconds = await stack.enter_async_context(probing(server))
        for part in ATTACKS[name]:
            await part(attack)
        await attack.sent()
        async with httpx.AsyncClient(base_url=server.url) as client:
            metrics = (await client.get("/api/v1/metrics")).text
    connections = attack.connections + 10
    assert memory(server, "VmHWM") < limit(connections)
    assert max(seconds) < SLOWEST
    assert "corvo_refusals_total{" in metrics or name in {"unread_streams", "waiting_fetches"}
    await wait_until(
        lambda: memory(server, "VmRSS") < before + LEFT + PER_CONNECTION * connections,
        "the memory comes back",
    )
    assert server.stop() == 0


async def test_memory_of_fetches_of_many_large_jobs_is_bounded(start_server: StartServer) -> None:
    server = start_server()
    payload, checkpoint = "p" * 250_000, "c" * 1_000_000
    async with ApiClient(server.url) as api:
        for _ in range(LARGE_JOBS // 32):
            await api.post(
                "/enqueue/batch", {"jobs": [{"queue": "large", "payload": payload}] * 32}
            )
        leased: list[tuple[str, str]] = []
        while jobs := await api.fetch_batch("large", count=512):
            for job in jobs:
                await api.heartbeat(job, checkpoint=checkpoint)
                leased.append((job["job_id"], job["lease_token"]))
        for job_id, token in leased:
            await api.release({"job_id": job_id, "lease_token": token})
        async with probing(server) as seconds:
            sizes = []
            while jobs := await api.fetch_batch("large", count=512):
                sizes.append(len(jobs))
                assert all(len(job["checkpoint"]) == len(checkpoint) for job in jobs)
    assert sum(sizes) == LARGE_JOBS
    assert max(sizes) * (len(payload) + len(checkpoint)) <= FETCH
    assert memory(server, "VmHWM") < limit(connections=10)
    assert max(seconds) < SLOWEST
    assert server.stop() == 0
