"""What clients can do to the memory of a server: send without an end, and read nothing."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from server_support.http import request

MB = 1024 * 1024
SEARCHED = 1000
"""Number of jobs of `jobs_to_search`, which unread searches return."""


def jobs_to_search() -> list[dict[str, Any]]:
    """Return jobs, in one enqueue of which ten make `SEARCHED` jobs with 13 MB."""
    return [{"queue": "searched", "payload": "x" * 13_000} for _ in range(SEARCHED // 10)]


class Attack:
    """Connections to a server that are open until the attack ends."""

    def __init__(self, port: int) -> None:
        """Attack the server on a port of this machine."""
        self._port = port
        self._writers: list[asyncio.StreamWriter] = []
        self._sending: list[asyncio.Task[None]] = []
        self.first_lines: list[bytes] = []
        """The status lines of the replies, whose rest is never read."""

    @property
    def connections(self) -> int:
        """Number of connections that were opened."""
        return len(self._writers)

    async def open(self, data: bytes, more: bytes = b"", times: int = 0) -> None:
        """Open a connection, and send `data`. Then send `more` so many times, and read one line."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=4096)
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

    async def close(self) -> None:
        """Close all connections, with what they have not sent."""
        for task in self._sending:
            task.cancel()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._sending, return_exceptions=True)
        for writer in self._writers:
            with suppress(ConnectionError):
                await writer.wait_closed()


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
