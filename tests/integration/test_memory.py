"""The server keeps within the documented memory whatever its clients do, and serves small work.

`docs/operations.md` has the formula of the limit.
"""

import asyncio
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic

import httpx
import pytest

from server_support.waiting import wait_until
from support.attacks import ATTACKS, MB, Attack, jobs_to_search
from support.server import CorvoServer, StartServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads the memory from /proc")

BASE, PER_CONNECTION, FACTOR = 128 * MB, 16 * 1024, 1.5
BUDGETS = 2 * 64 * MB
"""Default bytes of bodies and of unread replies."""
LEFT = 96 * MB
"""What the process may keep when all is over: caches, and holes in the heap."""
SLOWEST = 5.0
USUAL = 0.25
"""Seconds of the slowest answer of `/healthz`, on a busy machine, and of half of the answers."""


def memory(server: CorvoServer, name: str) -> int:
    """Return `VmRSS`, the memory of the process in bytes, or `VmHWM`, the largest so far."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) * 1024


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
        stack.callback(attack.close)
        seconds = await stack.enter_async_context(probing(server))
        for part in ATTACKS[name]:
            await part(attack)
        await attack.sent()
        async with httpx.AsyncClient(base_url=server.url) as client:
            metrics = (await client.get("/api/v1/metrics")).text
    connections = attack.connections + 10
    assert memory(server, "VmHWM") < BASE + PER_CONNECTION * connections + FACTOR * BUDGETS
    assert max(seconds) < SLOWEST
    assert statistics.median(seconds) < USUAL
    assert "corvo_refusals_total{" in metrics or name in {"unread_streams", "waiting_fetches"}
    await wait_until(
        lambda: memory(server, "VmRSS") < before + LEFT + PER_CONNECTION * connections,
        "the memory comes back",
    )
    assert server.stop() == 0
