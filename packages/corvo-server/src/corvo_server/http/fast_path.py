"""The fast path: plain requests to the endpoints of a job's life are served below Sanic's router.

Producers and workers send the same few requests again and again: a POST with a length and a body,
on a connection that stays open. For these, this module reads the head, calls the handler and writes
the reply itself, which costs a quarter less CPU. Sanic keeps the connection with its timeouts. It
also serves every other request, and every reply that is not plain JSON. Both paths answer with the
same bytes.
"""

import re
from collections.abc import Awaitable, Callable, Collection, Container
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias, cast

from sanic import HTTPResponse, Request
from sanic.compat import Header
from sanic.headers import format_http1_response
from sanic.http import Stage
from sanic.models.protocol_types import TransportProtocol
from sanic_routing.route import Route

from corvo_server.http import cross_site
from corvo_server.http.bounded import BoundedHttp, BoundedProtocol
from corvo_server.http.budgets import SMALL
from corvo_server.http.endpoint import JSON, App, Endpoint
from corvo_server.http.hosts import Hosts
from corvo_server.http.http1 import END_OF_HEAD, header_name
from corvo_server.http.request_id import HEADER, request_id

_Handler: TypeAlias = Callable[..., Awaitable[HTTPResponse]]

_METHOD = "POST"
_SPECIAL_HEADERS = cross_site.HEADERS | {
    "connection",
    "content-length",
    "expect",
    "host",
    "transfer-encoding",
    "upgrade",
}
"""Headers that change how the body is read, or how or whether the request is answered."""
_LENGTH = re.compile("[0-9]{1,15}")
_STRAY = re.compile("[\0\r\n]")
_ARGUMENT = re.compile("[A-Za-z0-9_-]+")
"""A path argument that needs no percent-decoding."""
_MAX_CACHED = 1024
"""Maximum length of headers, and of a line in them, whose parsed form is kept."""
_REPLY_HEADS = {
    status: format_http1_response(
        status,
        [
            (HEADER.encode(), b"%b"),
            (b"x-content-type-options", b"nosniff"),
            (b"content-length", b"%d"),
            (b"connection", b"keep-alive"),
            (b"content-type", JSON.encode()),
        ],
    )
    for status in (200, 201)
}
"""Heads of replies as Sanic writes them, with places for the request id and the body's length."""


class RequestHead(NamedTuple):
    """The head of a request, and its parts. Its headers are one block of lines."""

    head: bytes
    method: str
    path: str
    headers: bytes


class PlainHeaders(NamedTuple):
    """The headers of a plain request, the length of its body, and its host."""

    headers: tuple[tuple[str, str], ...]
    length: int
    host: str | None


class _Target(NamedTuple):
    """An endpoint that the fast path serves."""

    handler: _Handler
    route: Route
    parameter: str | None


class _Targets:
    """The endpoints that the fast path serves, by path, and the hosts that it serves."""

    def __init__(self, hosts: Container[str]) -> None:
        self.hosts = hosts
        self._by_path: dict[str, _Target] = {}

    def add(self, app: App, endpoint: Endpoint) -> None:
        """Add a POST endpoint. Its path has at most one argument, at the end."""
        prefix, _, parameter = endpoint.path.partition("<")
        example = f"{prefix}x" if parameter else prefix
        route, handler, arguments = app.router.get(example, _METHOD, None)
        target = _Target(cast("_Handler", handler), route, next(iter(arguments), None))
        self._by_path[prefix] = target

    def find(self, path: str) -> tuple[_Target, dict[str, str]] | None:
        """Return the endpoint of `path` and the arguments of its handler; None without a match."""
        target = self._by_path.get(path)
        if target is not None and target.parameter is None:
            return target, {}
        prefix, slash, argument = path.rpartition("/")
        target = self._by_path.get(prefix + slash)
        if target is None or target.parameter is None or not _ARGUMENT.fullmatch(argument):
            return None
        return target, {target.parameter: argument}


def install_fast_path(app: App, endpoints: Collection[Endpoint], hosts: Hosts) -> None:
    """Serve plain requests to `endpoints` and known `hosts` on the fast path.

    The fast path is disabled when tracing or CORS is enabled, because their middleware must run.
    """
    targets = app.ctx.fast_path = _Targets(hosts.known)

    async def find_targets(app: App) -> None:
        # One each: the guard and the observers, whose work the fast path does itself.
        if len(app.request_middleware) > 1 or len(app.response_middleware) > 1:
            return
        if not app.config.KEEP_ALIVE:
            return
        for endpoint in endpoints:
            targets.add(app, endpoint)

    app.before_server_start(find_targets)


def read_head(buffer: bytearray, limit: int) -> RequestHead | None:
    """Split the head at the start of `buffer`; None if it is not plain or over `limit` bytes."""
    end = buffer.find(END_OF_HEAD)
    if not 0 < end < limit:
        return None
    head = bytes(buffer[:end])
    first, _, headers = head.partition(b"\r\n")
    method, _, rest = first.decode(errors="surrogateescape").partition(" ")
    path, _, version = rest.partition(" ")
    return RequestHead(head, method, path, headers) if version == "HTTP/1.1" else None


def _read_headers(block: bytes) -> PlainHeaders | None:
    read = read_headers if len(block) <= _MAX_CACHED else read_headers.__wrapped__
    return read(block)


@lru_cache(maxsize=256)  # clients repeat most of their heads, and most lines of the others
def read_headers(block: bytes) -> PlainHeaders | None:
    """Return the headers as Sanic reads them, the length of the body, and the host.

    None if the request is not plain: it is invalid, lacks a length, ends the connection, or has a
    header that changes how the request is read.
    """
    headers: list[tuple[str, str]] = []
    length = host = None
    for line in block.decode(errors="surrogateescape").split("\r\n"):
        known = _read_known(line) if len(line) <= _MAX_CACHED else _read_line(line)
        if known is None:
            return None
        header, is_special = known
        if is_special:
            name, value = header
            if name == "content-length":
                if length is not None or not _LENGTH.fullmatch(value):
                    return None
                length = int(value)
            elif name == "host":
                if host is not None:
                    return None
                host = value
            elif name != "connection" or value.lower() != "keep-alive":
                return None
        headers.append(header)
    return None if length is None else PlainHeaders(tuple(headers), length, host)


def _read_line(line: str) -> tuple[tuple[str, str], bool] | None:
    """Return a header, and whether it is special; None if it is invalid or unusual."""
    raw, colon, text = line.partition(":")
    name, value = header_name(raw), text.lstrip()
    if name is None or not colon or _STRAY.search(text) or value != text.lstrip(" \t"):
        return None
    return (name, value), name in _SPECIAL_HEADERS


_read_known = lru_cache(maxsize=1024)(_read_line)


class _Http(BoundedHttp):
    """Sanic's loop over the requests of a connection, with the fast path."""

    __slots__ = ["_arguments", "_length", "_target"]

    _target: _Target | None
    _arguments: dict[str, str]
    _length: int

    async def http1_request_header(self) -> None:
        """Read the head of the next request."""
        self._target = None
        if not self._read_plain_head():
            await super().http1_request_header()

    def _read_plain_head(self) -> bool:
        """Take a plain head out of the buffer; leave any other head there and return False."""
        head = read_head(self.recv_buffer, self.HEADER_MAX_SIZE)
        if head is None or head.method != _METHOD or self.protocol.refusal is not None:
            return False
        targets: _Targets = self.protocol.app.ctx.fast_path
        found = targets.find(head.path)
        headers = _read_headers(head.headers) if found else None
        if found is None or headers is None:
            return False
        if headers.host is not None and headers.host not in targets.hosts:
            return False
        del self.recv_buffer[: len(head.head) + len(END_OF_HEAD)]
        self._target, self._arguments = found
        self._length = headers.length
        self.keep_alive = True
        self.head_only = False
        self.url = head.path
        self.request_body = b"to come"  # Sanic only asks whether it is true
        self.request_bytes = self.request_bytes_left = self._length
        self.request = self._new_request(head, Header(headers.headers))
        return True

    def _new_request(self, head: RequestHead, headers: Header) -> Request:
        protocol = self.protocol
        protocol.state["requests_count"] += 1
        request: Request = Request(
            url_bytes=head.path.encode(),
            headers=headers,
            head=head.head,
            version="1.1",
            method=_METHOD,
            transport=cast("TransportProtocol", protocol.transport),
            app=protocol.app,
        )
        request.stream = self
        return request

    def answer(self, request: Request) -> Awaitable[None]:
        """Answer the request whose head was read last."""
        if self._target is None:
            return self.protocol.app.handle_request(request)
        return self._answer_plain(request, self._target)

    async def _answer_plain(self, request: Request, target: _Target) -> None:
        app = self.protocol.app
        request.route = target.route
        try:
            app.ctx.gate.admit(request)
            await self._receive_body(request)
            if self.recv_buffer:
                self.charge_ahead()
            response = await target.handler(request, **self._arguments)
            if not _is_plain(response):
                sent = await request.respond(response)
                await sent.send(end_stream=True)
                return
            if len(response.body or b"") > SMALL:
                self.check_reply(request, response)
        except Exception as error:  # noqa: BLE001 - answered by the error handler
            await app.handle_exception(request, error)
            return
        self.response = response
        body: bytes = response.body or b""
        head = _REPLY_HEADS[response.status] % (request_id(request).encode(), len(body))
        try:
            await self._send(head + body)
        finally:  # after the reply, so that the client does not wait for the metrics
            app.ctx.observe(request, response)
        self.stage = Stage.IDLE

    async def _receive_body(self, request: Request) -> None:
        buffer, length = self.recv_buffer, self._length
        if len(buffer) < length or length > SMALL or length > self.request_max_size:
            self.protocol.patience.start_body()
            await request.receive_body()
            return
        request.body = bytes(buffer[:length])
        del buffer[:length]
        self.request_body = None
        self.request_bytes_left = 0


class FastPathProtocol(BoundedProtocol):
    """A connection whose plain requests take the fast path."""

    __slots__ = ()

    HTTP_CLASS = _Http

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.request_handler = self._answer

    def _answer(self, request: Request) -> Awaitable[None]:
        return cast("_Http", self._http).answer(request)


def _is_plain(response: HTTPResponse) -> bool:
    return (
        response.status in _REPLY_HEADS and response.content_type == JSON and not response.headers
    )
