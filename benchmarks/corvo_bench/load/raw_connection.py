"""Build requests as bytes, and play scripts of requests over connections."""

import asyncio
import itertools
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

from corvo_bench.results import BenchmarkError

Reply = tuple[int, bytes]
Script = Generator[bytes, Reply, None]
"""A generator that yields requests and receives the answer to each."""


@dataclass
class Tally:
    """The latencies in seconds and the statuses of all requests of one load."""

    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)


def request(url: str, method: str, path: str, body: object = None) -> bytes:
    """Return the bytes of a request. `body` is sent as JSON."""
    payload = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
    head = f"{method} {path} HTTP/1.1\r\nhost: {urlsplit(url.partition(',')[0]).netloc}\r\n"
    if payload:
        head += f"content-type: application/json\r\ncontent-length: {len(payload)}\r\n"
    return head.encode() + b"\r\n" + payload


def text_of(body: bytes, name: bytes, start: int = 0) -> bytes:
    """Return the text of the first field `name` of a JSON reply without parsing all of it."""
    begin = body.index(b'"' + name + b'":"', start) + len(name) + 4
    return body[begin : body.index(b'"', begin)]


def texts_of(body: bytes, name: bytes) -> list[str]:
    """Return the texts of all fields `name` of a JSON reply, in order."""
    return [text.decode() for text in re.findall(b'"%b":"([^"]*)"' % name, body)]


class Exchange(asyncio.Protocol):
    """A keep-alive connection that passes each complete answer to `on_reply`.

    `closed` is done when the connection is closed. It raises the error that closed it, if any.
    """

    def __init__(self, on_reply: Callable[["Exchange", Reply], None]) -> None:
        self._on_reply = on_reply
        self._rest = b""
        self._transport: asyncio.Transport | None = None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def send(self, data: bytes) -> None:
        """Send a request. The previous one must have been answered."""
        if self._transport is None:
            raise BenchmarkError("the server closed the connection")
        self._transport.write(data)

    def close(self) -> None:
        """Close the connection."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()
        if not self.closed.done():
            self.closed.set_result(None)

    def abort(self, error: Exception) -> None:
        """Close the connection; `closed` raises `error`."""
        if not self.closed.done():
            self.closed.set_exception(error)
        self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail with `BenchmarkError`, unless this side closed the connection."""
        if self._transport is not None:
            self.abort(BenchmarkError(f"the server closed the connection: {exc}"))

    def data_received(self, data: bytes) -> None:
        """Pass the answer to `on_reply` when it is complete."""
        if self._rest:
            data = self._rest + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._rest = data
            return
        at = data.find(b"content-length: ", 0, end)
        length = 0 if at < 0 else int(data[at + 16 : data.find(b"\r", at)])
        if len(data) < end + 4 + length:
            self._rest = data
            return
        self._rest = b""
        try:
            self._on_reply(self, (int(data[9:12]), data[end + 4 :]))
        except Exception as error:  # noqa: BLE001 - raised by `closed`
            self.abort(error)


async def connect(url: str, on_reply: Callable[[Exchange, Reply], None]) -> Exchange:
    """Open a connection to the server at `url`."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    _, exchange = await loop.create_connection(
        lambda: Exchange(on_reply), str(parts.hostname), parts.port or 80
    )
    return exchange


async def play(url: str, scripts: list[Script], tally: Tally) -> None:
    """Play each script over its own connection until all scripts have ended.

    All connections are open before the first request is sent. `url` may name several servers,
    separated by commas; the connections are spread over them in turn.
    """
    players = [_Player(script, tally) for script in scripts]
    turn = itertools.cycle(url.split(","))
    exchanges = await asyncio.gather(
        *(connect(server, player.on_reply) for server, player in zip(turn, players, strict=False))
    )
    for player, exchange in zip(players, exchanges, strict=True):
        player.begin(exchange)
    try:
        await asyncio.gather(*(exchange.closed for exchange in exchanges))
    finally:
        for exchange in exchanges:
            exchange.close()


class _Player:
    """Sends the requests of a script, each as soon as the previous one is answered."""

    __slots__ = ("_latencies", "_script", "_sent", "_statuses")

    def __init__(self, script: Script, tally: Tally) -> None:
        self._script = script
        self._latencies = tally.latencies
        self._statuses = tally.statuses
        self._sent = 0.0

    def begin(self, exchange: Exchange) -> None:
        data = next(self._script, None)
        if data is None:
            exchange.close()
            return
        self._sent = time.perf_counter()
        exchange.send(data)

    def on_reply(self, exchange: Exchange, reply: Reply) -> None:
        self._latencies.append(time.perf_counter() - self._sent)
        self._statuses[reply[0]] += 1
        try:
            data = self._script.send(reply)
        except StopIteration:
            exchange.close()
            return
        self._sent = time.perf_counter()
        exchange.send(data)


def run_loop(main: "Callable[[], Any]") -> Any:
    """Run a coroutine function on uvloop, or on asyncio if uvloop is not installed."""
    try:
        import uvloop  # noqa: PLC0415 - optional: not every platform has it
    except ImportError:
        return asyncio.run(main())
    return uvloop.run(main())
