"""Send one request at a time over one keep-alive connection."""

import socket
import time
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from corvo_bench.latency import Latencies
from corvo_bench.load.raw_connection import Reply
from corvo_bench.results import BenchmarkError


class BlockingConnection:
    """A blocking connection to the server at `url`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((str(parts.hostname), parts.port or 80), 120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, data: bytes) -> Reply:
        """Send a request and return its answer.

        Raises `BenchmarkError` if the server closes the connection.
        """
        self._socket.sendall(data)
        answer = b""
        end = -1
        length = 0
        while end < 0 or len(answer) < end + 4 + length:
            more = self._socket.recv(1 << 18)
            if not more:
                raise BenchmarkError("the server closed the connection")
            answer += more
            if end < 0 and (end := answer.find(b"\r\n\r\n")) >= 0:
                at = answer.find(b"content-length: ", 0, end)
                length = 0 if at < 0 else int(answer[at + 16 : answer.find(b"\r", at)])
        return int(answer[9:12]), answer[end + 4 :]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()


def asked_in_turn(url: str, bodies: list[bytes], seconds: float) -> Latencies:
    """Send each request once, one at a time, for at most `seconds`. Return the latencies.

    Raises `BenchmarkError` if a status is not 200.
    """
    latencies = Latencies()
    deadline = time.perf_counter() + seconds
    with BlockingConnection(url) as connection:
        for data in bodies:
            sent = time.perf_counter()
            if sent > deadline:
                break
            status, body = connection.ask(data)
            latencies.record(time.perf_counter() - sent)
            if status != 200:
                raise BenchmarkError(f"{status} {body[:300]!r}")
    return latencies
