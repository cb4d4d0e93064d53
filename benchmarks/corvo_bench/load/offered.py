"""An open loop: requests are due at a fixed rate, whether the server keeps up or not.

A latency counts from the time at which its request was due, even if no connection was free to send
it. So a server that stalls cannot hide the requests that waited (coordinated omission).
"""

import asyncio
import selectors
import time
from collections import deque
from dataclasses import dataclass

from corvo_bench.latency import Latencies
from corvo_bench.load.closed import PAYLOAD
from corvo_bench.load.outcome import Outcome, cpu_seconds
from corvo_bench.load.raw_connection import Exchange, Reply, connect, request, text_of
from corvo_bench.results import BenchmarkError
from corvo_bench.server import API

_PATIENCE_SECONDS = 10.0


@dataclass
class Offer:
    """The result of an open loop. `late` has the delays that the generator itself caused."""

    outcome: Outcome
    late: Latencies


def offered(url: str, queue: str, connections: int, per_second: float, seconds: float) -> Offer:
    """Enqueue `per_second` single jobs per second, over the connections that are free."""
    load = _OpenLoad(url, queue, per_second, seconds)
    used = cpu_seconds()
    started = time.perf_counter()
    # select() is precise; epoll, and so uvloop, waits with a precision of one millisecond.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    try:
        loop.run_until_complete(load.run(connections))
    finally:
        loop.close()
    load.outcome.seconds = time.perf_counter() - started
    load.outcome.cpu_seconds = cpu_seconds() - used
    load.outcome.count = len(load.outcome.enqueued)
    return Offer(load.outcome, load.late)


class _OpenLoad:
    def __init__(self, url: str, queue: str, per_second: float, seconds: float) -> None:
        self.outcome = Outcome(0.0, 0)
        self.late = Latencies()
        self._url = url
        self._data = request(url, "POST", f"{API}/enqueue", {"queue": queue, "payload": PAYLOAD})
        self._interval = 1 / per_second
        self._requests = int(per_second * seconds)
        self._free: deque[Exchange] = deque()
        self._waiting: deque[float] = deque()
        self._due_of: dict[Exchange, float] = {}

    async def run(self, connections: int) -> None:
        for _ in range(connections):
            self._free.append(await connect(self._url, self._on_reply))
        exchanges = list(self._free)
        began = time.perf_counter() + 0.05
        for number in range(self._requests):
            due = began + number * self._interval
            left = due - time.perf_counter()
            # Sleep even when late, so that the loop reads replies and frees connections.
            await asyncio.sleep(max(left, 0))
            self._waiting.append(due)
            if self._free:
                self.late.record(max(0.0, time.perf_counter() - due))
            self._send()
        deadline = time.perf_counter() + _PATIENCE_SECONDS
        while self._waiting or self._due_of:
            if time.perf_counter() > deadline:
                left_over = len(self._waiting) + len(self._due_of)
                raise BenchmarkError(
                    f"{left_over} requests were not answered within {_PATIENCE_SECONDS:g} s"
                )
            await asyncio.sleep(0.005)
        for exchange in exchanges:
            if exchange.closed.done():
                await exchange.closed
            exchange.close()

    def _send(self) -> None:
        while self._waiting and self._free:
            exchange = self._free.popleft()
            self._due_of[exchange] = self._waiting.popleft()
            exchange.send(self._data)

    def _on_reply(self, exchange: Exchange, reply: Reply) -> None:
        status, body = reply
        self.outcome.latencies.record(time.perf_counter() - self._due_of.pop(exchange))
        self.outcome.statuses[status] += 1
        if status == 201:
            self.outcome.enqueued.append(text_of(body, b"job_id").decode())
        self._free.append(exchange)
        self._send()
