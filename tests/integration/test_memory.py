"""The server keeps within the documented memory whatever its clients do, and serves small work.

`docs/operations.md` has the formula of the limit.
"""

import asyncio
import statistics
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest

from server_support.http import request
from server_support.waiting import wait_until
from support.server import CorvoServer, StartServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads the memory from /proc")

MB = 1024 * 1024
BASE, PER_CONNECTION, FACTOR = 128 * MB, 16 * 1024, 1.5
BUDGETS = 2 * 64 * MB
"""Default bytes of bodies and of unread replies."""
LEFT = 64 * MB
"""What the process may keep when all is over: caches, and holes in the heap."""
SEARCHED = 1000
SLOWEST = 5.0
USUAL = 0.25
"""Seconds of the slowest answer of `/healthz`, on a busy machine, and of half of the answers."""


class Attack:
    """Connections to a server that are open until the attack ends."""

    def __init__(self, server: CorvoServer) -> None:
        self._server = server
        self._writers: list[asyncio.StreamWriter] = []
        self._sending: list[asyncio.Task[None]] = []
        self.first_lines: list[bytes] = []
        """The status lines of the replies, whose rest is never read."""

    async def open(self, data: bytes, more: bytes = b"", times: int = 0) -> None:
        """Open a connection, and send `data`. Then send `more` so many times, and read one line."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._server.port, limit=4096)
        self._writers.append(writer)
        self._sending.append(asyncio.create_task(self._run(reader, writer, data, more, times)))

    async def _run(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        data: bytes,
        more: bytes,
        times: int,
    ) -> None:
        with suppress(ConnectionError):
            writer.write(data)
            for _ in range(times):
                writer.write(more)
                await writer.drain()
            self.first_lines.append(await reader.readline())

    async def sent(self) -> None:
        """Wait for the first line of the replies, or for the deadline of the bodies."""
        await asyncio.wait(self._sending, timeout=8)

    def close(self) -> None:
        """Close all connections."""
        for task in self._sending:
            task.cancel()
        for writer in self._writers:
            writer.close()


def memory(server: CorvoServer, name: str) -> int:
    """Return `VmRSS`, the memory of the process in bytes, or `VmHWM`, the largest so far."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) * 1024


async def unread_searches(attack: Attack) -> None:
    for _ in range(100):
        await attack.open(
            request("POST", "/api/v1/jobs/search", {"queue": "searched", "limit": SEARCHED})
        )


async def unfinished_bodies(attack: Attack) -> None:
    head = request("POST", "/api/v1/enqueue", headers={"content-type": "application/json"})
    size = 8 * MB
    with_length = head.replace(b"content-length: 0", b"content-length: %d" % size)
    chunked = head.replace(b"content-length: 0", b"transfer-encoding: chunked")
    piece = b" " * 65_536
    times = size // len(piece) - 1
    for _ in range(50):
        await attack.open(with_length, piece, times)
        await attack.open(chunked, b"10000\r\n" + piece + b"\r\n", times)


async def unfinished_small_bodies(attack: Attack) -> None:
    data = request("POST", "/api/v1/enqueue", b" " * 60_000)
    for _ in range(1000):
        await attack.open(data[:-1])


async def unread_streams(attack: Attack) -> None:
    for _ in range(100):
        await attack.open(request("GET", "/api/v1/events?last_event_id=0"))


async def waiting_fetches(attack: Attack) -> None:
    body = {"queues": ["empty"], "worker_id": "w", "timeout": 60}
    for _ in range(2000):
        await attack.open(request("POST", "/api/v1/fetch", body))


async def requests_behind_waiting_fetches(attack: Attack) -> None:
    body = {"queues": ["empty"], "worker_id": "w", "timeout": 60}
    for _ in range(500):
        await attack.open(request("POST", "/api/v1/fetch", body) + b"x" * 250_000)


ATTACKS: dict[str, tuple[Callable[[Attack], Coroutine[Any, Any, None]], ...]] = {
    part.__name__: (part,)
    for part in (
        unread_searches,
        unfinished_bodies,
        unfinished_small_bodies,
        unread_streams,
        waiting_fetches,
        requests_behind_waiting_fetches,
    )
}
ATTACKS["all_at_once"] = tuple(part for (part,) in ATTACKS.values())


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
        jobs = [{"queue": "searched", "payload": "x" * 13_000} for _ in range(100)]
        for _ in range(SEARCHED // len(jobs)):
            assert (await client.post("/enqueue/batch", json={"jobs": jobs})).status_code == 201
    before = memory(server, "VmRSS")
    attack = Attack(server)
    async with AsyncExitStack() as stack:
        stack.callback(attack.close)
        seconds = await stack.enter_async_context(probing(server))
        for part in ATTACKS[name]:
            await part(attack)
        await attack.sent()
        async with httpx.AsyncClient(base_url=server.url) as client:
            metrics = (await client.get("/api/v1/metrics")).text
    connections = len(attack._writers) + 10
    assert memory(server, "VmHWM") < BASE + PER_CONNECTION * connections + FACTOR * BUDGETS
    assert max(seconds) < SLOWEST
    assert statistics.median(seconds) < USUAL
    assert "corvo_refusals_total{" in metrics or name in {"unread_streams", "waiting_fetches"}
    await wait_until(
        lambda: memory(server, "VmRSS") < before + LEFT + PER_CONNECTION * connections,
        "the memory comes back",
    )
    assert server.stop() == 0
