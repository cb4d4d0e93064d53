"""The HTTP client of webhooks: where it connects, and what it makes of replies."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trustme

from corvo_server.webhooks.addresses import Addresses
from corvo_server.webhooks.sender import Sender, SendError

EVERY = "0.0.0.0"  # noqa: S104 - for the test of addresses of this machine
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


class Receiver:
    """A server that records requests and answers each with the same bytes."""

    def __init__(self, reply: bytes = OK, *, is_hanging: bool = False) -> None:
        self.reply = reply
        self.is_hanging = is_hanging
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                writer.write(self.reply)
                await writer.drain()
                if self.is_hanging:
                    await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(
    receiver: Receiver, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    server = await asyncio.start_server(receiver.serve, host, 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()


@asynccontextmanager
async def sending(*allowed: str, seconds: float = 10) -> AsyncIterator[Callable[..., Any]]:
    sender = Sender(Addresses(allowed), timeout=seconds)

    async def post(url: str, body: bytes = b"{}") -> int:
        return await sender.post(url, body, [("webhook-id", "m1")])

    try:
        yield post
    finally:
        await sender.close()


async def reason(call: Awaitable[int]) -> str:
    with pytest.raises(SendError) as caught:
        await call
    return str(caught.value)


async def test_request_has_the_body_and_the_headers() -> None:
    async with serving(Receiver()) as receiver, sending("127.0.0.1") as post:
        assert await post(f"http://127.0.0.1:{receiver.port}/a?b=c", b'{"x":1}') == 200
    (request,) = receiver.requests
    head, _, body = request.partition(b"\r\n\r\n")
    assert body == b'{"x":1}'
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"post /a?b=c http/1.1"
    assert f"host: 127.0.0.1:{receiver.port}".encode() in lines
    assert b"content-type: application/json" in lines
    assert b"webhook-id: m1" in lines


async def test_connection_is_used_again() -> None:
    async with serving(Receiver()) as receiver, sending("127.0.0.1") as post:
        for _ in range(3):
            await post(f"http://127.0.0.1:{receiver.port}/")
    assert (receiver.connections, len(receiver.requests)) == (1, 3)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", EVERY]
)
async def test_this_machine_is_not_reached(host: str) -> None:
    async with serving(Receiver(), EVERY) as receiver, sending() as post:
        assert "not a public address" in await reason(post(f"http://{host}:{receiver.port}/"))
    assert receiver.connections == 0


async def test_connection_goes_to_the_address_that_was_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that leads elsewhere at each look-up is looked up once for a connection."""
    looked_up = []

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        looked_up.append(host)
        address = "127.0.0.1" if len(looked_up) == 1 else "127.0.0.2"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    async with serving(Receiver(), "127.0.0.1") as receiver, sending("127.0.0.1") as post:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo, raising=True)
        url = f"http://rebinding.example:{receiver.port}/"
        assert await post(url) == 200
        monkeypatch.undo()
    assert looked_up == ["rebinding.example"]
    assert f"host: rebinding.example:{receiver.port}".encode() in receiver.requests[0].lower()


async def test_only_reachable_addresses_of_a_name_are_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in ("127.0.0.3", "127.0.0.1")
        ]

    async with serving(Receiver(), EVERY) as receiver, sending("127.0.0.1") as post:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo, raising=True)
        assert await post(f"http://two.example:{receiver.port}/") == 200
        monkeypatch.undo()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_not_followed(status: int) -> None:
    async with serving(Receiver()) as inner:
        to = f"http://127.0.0.1:{inner.port}/".encode()
        moved = b"HTTP/1.1 %d Moved\r\nlocation: %b\r\ncontent-length: 0\r\n\r\n" % (status, to)
        async with serving(Receiver(moved)) as outer, sending("127.0.0.1") as post:
            assert await post(f"http://127.0.0.1:{outer.port}/") == status
    assert inner.requests == []


async def test_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(Receiver()) as proxy, serving(Receiver()) as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with sending("127.0.0.1") as post:
            assert await post(f"http://127.0.0.1:{receiver.port}/") == 200
    assert (len(proxy.requests), len(receiver.requests)) == (0, 1)


async def test_reply_without_end_is_not_read_to_it() -> None:
    endless = b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n" + b"x" * 300_000
    hanging = Receiver(endless, is_hanging=True)
    async with serving(hanging) as receiver, sending("127.0.0.1") as post:
        assert await post(f"http://127.0.0.1:{receiver.port}/") == 200
        assert await post(f"http://127.0.0.1:{receiver.port}/") == 200
    assert receiver.connections == 2  # the rest of a reply must not be read as the next one


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 200 OK\r\nx-slow: "])
async def test_receiver_that_does_not_answer_in_time_has_failed(reply: bytes) -> None:
    hanging = Receiver(reply, is_hanging=True)
    async with serving(hanging) as receiver, sending("127.0.0.1", seconds=0.2) as post:
        found = await reason(post(f"http://127.0.0.1:{receiver.port}/"))
    assert found == "no complete reply within 0.2 s"


@pytest.mark.parametrize("reply", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nx: 9\r\n"])
async def test_malformed_reply_is_a_failure(reply: bytes) -> None:
    class Closing(Receiver):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(reply)
            writer.close()

    async with serving(Closing()) as receiver, sending("127.0.0.1") as post:
        assert "the connection failed" in await reason(post(f"http://127.0.0.1:{receiver.port}/"))


async def test_closed_port_is_a_failure() -> None:
    async with serving(Receiver()) as receiver:
        pass
    async with sending("127.0.0.1") as post:
        found = await reason(post(f"http://127.0.0.1:{receiver.port}/"))
    assert found.startswith("cannot connect to 127.0.0.1, port")


async def test_unknown_host_is_a_failure() -> None:
    async with sending() as post:
        assert "is unknown" in await reason(post("http://host.invalid/"))


async def test_certificate_of_nobody_known_is_refused() -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    async with serving(Receiver(), tls=tls) as receiver, sending("127.0.0.1") as post:
        found = await reason(post(f"https://127.0.0.1:{receiver.port}/"))
    assert "TLS" in found
    assert "verify failed" in found
    assert receiver.requests == []
