"""A load generator that costs little: raw HTTP/1.1 over kept-alive connections."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Outcome:
    """What came of a load: how long each request took, and which answers there were."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds

    def percentile(self, p: float) -> float:
        """The latency, in seconds, that a share `p` of the requests did not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * p))]

    def check(self, *allowed: int) -> None:
        """Raise `SystemExit` when there was any answer that is not one of `allowed`."""
        wrong = {status: n for status, n in self.statuses.items() if status not in allowed}
        if wrong:
            raise SystemExit(f"answers that should not be: {wrong}")


def request(url: str, method: str, path: str, body: object = None) -> bytes:
    """The bytes of a request."""
    payload = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nhost: {urlsplit(url).netloc}\r\n"
    if payload:
        head += f"content-type: application/json\r\ncontent-length: {len(payload)}\r\n"
    return head.encode() + b"\r\n" + payload


class Connection(asyncio.Protocol):
    """One connection. `ask` sends bytes and returns status and body."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, url: str) -> "Connection":
        """Connect to a server."""
        parts = urlsplit(url)
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(cls, parts.hostname, parts.port)
        return protocol

    async def ask(self, data: bytes) -> tuple[int, bytes]:
        """Send a request and wait for its answer."""
        self._answer = asyncio.get_running_loop().create_future()
        if self._transport is None:
            raise ConnectionError("the connection is closed")
        self._transport.write(data)
        return await self._answer

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is still waiting."""
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("the server hung up"))

    def data_received(self, data: bytes) -> None:
        """Answer the waiting request once its answer is complete."""
        buffer = self._buffer
        buffer += data
        end = buffer.find(b"\r\n\r\n")
        if end < 0 or self._answer is None:
            return
        at = buffer.find(b"content-length: ", 0, end)
        length = 0 if at < 0 else int(buffer[at + 16 : buffer.find(b"\r", at)])
        if len(buffer) < end + 4 + length:
            return
        status, body = int(buffer[9:12]), bytes(buffer[end + 4 : end + 4 + length])
        buffer.clear()
        if not self._answer.done():
            self._answer.set_result((status, body))


async def hammer(url: str, connections: int, seconds: float, make: Callable[[], bytes]) -> Outcome:
    """Send requests over so many connections for so long, each as soon as the last was answered."""
    outcome = Outcome()
    deadline = time.perf_counter() + seconds

    async def one() -> None:
        connection = await Connection.open(url)
        while (sent := time.perf_counter()) < deadline:
            status, _ = await connection.ask(make())
            outcome.latencies.append(time.perf_counter() - sent)
            outcome.statuses[status] = outcome.statuses.get(status, 0) + 1
        connection.close()

    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    outcome.seconds = time.perf_counter() - started
    return outcome
