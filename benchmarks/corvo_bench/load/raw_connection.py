"""Requests as bytes, and connections that play a script of them."""

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
"""Yields requests, and is sent the answer of each."""


@dataclass
class Tally:
    """What the connections of one load saw: seconds of each request, and the statuses."""

    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)


def request(url: str, method: str, path: str, body: object = None) -> bytes:
    """The bytes of a request."""
    payload = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
    head = f"{method} {path} HTTP/1.1\r\nhost: {urlsplit(url.partition(',')[0]).netloc}\r\n"
    if payload:
        head += f"content-type: application/json\r\ncontent-length: {len(payload)}\r\n"
    return head.encode() + b"\r\n" + payload


def text_of(body: bytes, name: bytes, start: int = 0) -> bytes:
    """The text of the first field `name` in a JSON reply, without parsing the rest of it."""
    begin = body.index(b'"' + name + b'":"', start) + len(name) + 4
    return body[begin : body.index(b'"', begin)]


def texts_of(body: bytes, name: bytes) -> list[str]:
    """The texts of all fields `name` in a JSON reply, in their order."""
    return [text.decode() for text in re.findall(b'"%b":"([^"]*)"' % name, body)]


class Exchange(asyncio.Protocol):
    """One kept-alive connection: each answer is handed to `on_reply` once it is complete."""

    def __init__(self, on_reply: Callable[["Exchange", Reply], None]) -> None:
        self._on_reply = on_reply
        self._rest = b""
        self._transport: asyncio.Transport | None = None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = cast("asyncio.Transport", transport)

    def send(self, data: bytes) -> None:
        """Send a request; the one before must have been answered."""
        if self._transport is None:
            raise BenchmarkError("the server hung up")
        self._transport.write(data)

    def close(self) -> None:
        """Hang up."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()
        if not self.closed.done():
            self.closed.set_result(None)

    def abort(self, error: Exception) -> None:
        """Hang up, and let whoever waits for the end of this connection have the error."""
        if not self.closed.done():
            self.closed.set_exception(error)
        self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side hung up: an error, unless this one did so before."""
        if self._transport is not None:
            self.abort(BenchmarkError(f"the server hung up: {exc}"))

    def data_received(self, data: bytes) -> None:
        """Hand out the answer when it is complete."""
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
        except Exception as error:  # noqa: BLE001 - raised where the connection is waited for
            self.abort(error)


async def connect(url: str, on_reply: Callable[[Exchange, Reply], None]) -> Exchange:
    """Open a connection."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    _, exchange = await loop.create_connection(
        lambda: Exchange(on_reply), str(parts.hostname), parts.port or 80
    )
    return exchange


async def play(url: str, scripts: list[Script], tally: Tally) -> None:
    """Play each script over a connection of its own, until all have ended.

    All connections are open before the first request goes out. `url` may be several, separated by
    commas, which take the connections in turn.
    """
    players = [_Player(script, tally) for script in scripts]
    turn = itertools.cycle(url.split(","))
    exchanges = await asyncio.gather(
        *(connect(place, player.on_reply) for place, player in zip(turn, players, strict=False))
    )
    for player, exchange in zip(players, exchanges, strict=True):
        player.begin(exchange)
    try:
        await asyncio.gather(*(exchange.closed for exchange in exchanges))
    finally:
        for exchange in exchanges:
            exchange.close()


class _Player:
    """Sends what its script yields, each request as soon as the one before was answered."""

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
    """Run a coroutine function on the fastest event loop that there is."""
    try:
        import uvloop  # noqa: PLC0415 - comes with the server, where it can be built
    except ImportError:
        return asyncio.run(main())
    return uvloop.run(main())
