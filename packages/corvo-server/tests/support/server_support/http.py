"""A server in this process, and a client that can send any bytes."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, NamedTuple
from uuid import uuid4

import orjson
from sanic.server.async_server import AsyncioServer

from corvo_schema import ApiKeyRequest
from corvo_server import app as app_module
from corvo_server.app import build_http
from corvo_server.engine.engine import Engine
from corvo_server.http.deadlines import Deadlines
from corvo_server.http.gate import Gate
from corvo_server.http.openapi import describe
from corvo_server.http.secure import Tls
from corvo_server.http_server import bind, start_http
from corvo_server.settings import Settings

API = "/api/v1"

# Every server has the same OpenAPI description; building it dominates the start.
vars(app_module)["describe"] = cache(describe)


class Reply(NamedTuple):
    """A reply of the server."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return orjson.loads(self.body)


class Connection:
    """A connection for several requests."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def receive(self, *, has_body: bool = True) -> Reply:
        """Read one reply; `has_body` is False for the reply to a HEAD."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status_line, *lines = head.strip().split("\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        length = int(headers.get("content-length", 0)) if has_body else 0
        body = await self.reader.readexactly(length)
        return Reply(int(status_line.split()[1]), headers, body)

    async def at_end(self) -> bool:
        """Whether the server closes the connection."""
        return await self.reader.read() == b""

    def close(self) -> None:
        """Close the connection."""
        self.writer.close()


class HttpServer:
    """A running server, with calls to it."""

    def __init__(
        self, engine: Engine, gate: Gate, http: AsyncioServer, host: str, port: int
    ) -> None:
        self.engine = engine
        self.gate = gate
        self.http = http
        self.host = host
        self.port = port
        self.headers: dict[str, str] = {}
        """Headers that `call` adds to each request."""
        self.client_tls: ssl.SSLContext | None = None
        """With it, the test speaks TLS."""
        self._open: list[Connection] = []

    async def require_keys(self) -> None:
        """Make the first API key, one of an admin, and send it with each `call` from now on."""
        if not self.headers:
            self.headers = self.with_key(await self.new_key("admin"))

    async def new_key(self, *roles: str, queues: list[str] | None = None) -> str:
        """Make an API key with these roles, and return its text."""
        name = f"key-{uuid4().hex[:12]}"
        request = ApiKeyRequest.model_validate({"name": name, "roles": [*roles], "queues": queues})
        _, text = await self.engine.keys.create(request, may_lock_out=True)
        return text

    @staticmethod
    def with_key(text: str) -> dict[str, str]:
        """Return the headers of a call with an API key."""
        return {"authorization": f"Bearer {text}"}

    async def connect(self, *, receive_bytes: int | None = None) -> Connection:
        """Open a connection. `close` closes it if the test does not.

        `receive_bytes` is about the number of bytes that the client takes before a test reads them.
        """
        client = socket.socket()
        client.setblocking(False)
        if receive_bytes is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        await asyncio.get_running_loop().sock_connect(client, (self.host, self.port))
        limit = receive_bytes or 64 * 1024
        name = self.host if self.client_tls else None
        reader, writer = await asyncio.open_connection(
            sock=client, limit=limit, ssl=self.client_tls, server_hostname=name
        )
        connection = Connection(reader, writer)
        self._open.append(connection)
        return connection

    def close(self) -> None:
        """Close all connections."""
        for connection in self._open:
            connection.close()

    async def raw(self, data: bytes) -> Reply:
        """Send bytes on a new connection, and return the reply."""
        connection = await self.connect()
        await connection.send(data)
        reply = await asyncio.wait_for(connection.receive(), 10)
        connection.close()
        return reply

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Make one call and return the reply. A body other than bytes is sent as JSON."""
        connection = await self.connect()
        sent = {**self.headers, **(headers or {})}
        await connection.send(request(method, path, body, headers=sent))
        reply = await asyncio.wait_for(connection.receive(has_body=method != "HEAD"), 20)
        connection.close()
        return reply

    async def get(self, path: str, **options: Any) -> Reply:
        """Send a GET request for a path below the prefix of the API."""
        return await self.call("GET", API + path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Reply:
        """Send a POST request to a path below the prefix of the API."""
        return await self.call("POST", API + path, body, **options)


def request(
    method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None
) -> bytes:
    """Return the bytes of a request."""
    sent = {"host": "localhost", **{name.lower(): value for name, value in (headers or {}).items()}}
    if body is None:
        data = b""
    else:
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        sent.setdefault("content-type", "application/json")
    if data or method == "POST":
        sent.setdefault("content-length", str(len(data)))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + data


@asynccontextmanager
async def serve(
    engine: Engine, deadlines: Deadlines | None = None, tls: Tls | None = None, **settings: Any
) -> AsyncIterator[HttpServer]:
    """Serve `engine` over HTTP on a free port of this machine."""
    app, requests = build_http(Settings(bind="127.0.0.1:0", **settings), engine, deadlines, tls)
    app.config.TOUCHUP = False  # touch-up would rewrite Sanic's methods for the whole process
    listener = bind("127.0.0.1:0")
    http = await start_http(app, listener)
    server = HttpServer(engine, app.ctx.gate, http, *listener.getsockname()[:2])
    try:
        yield server
    finally:
        server.close()
        http.close()
        engine.start_closing()
        while connections := [item for item in http.connections if not item.close_if_idle()]:
            await asyncio.sleep(0.001)
            for item in connections:
                item.abort()
        await http.wait_closed()
        requests.flush()
