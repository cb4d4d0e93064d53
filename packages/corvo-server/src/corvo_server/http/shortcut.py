"""The short way of plain requests: Sanic reads, routes and answers them for any case there may be.

What jobs pass through comes again and again as the same few lines: a POST with its length and its
body, on a connection that stays open. Here its head is read, its handler called straight away and
its reply put together. The connection stays Sanic's, with its timeouts, its end and whatever else
comes on it; and so does every request that is special in any way, and every answer that is.
"""

import re
from collections.abc import Awaitable, Callable, Collection
from typing import Any, NamedTuple, TypeAlias, cast

from sanic import HTTPResponse, Request
from sanic.compat import Header
from sanic.headers import format_http1_response
from sanic.http import Http, Stage
from sanic.models.protocol_types import TransportProtocol
from sanic.server import HttpProtocol
from sanic_routing.route import Route

from corvo_server.http.endpoint import JSON, App, Endpoint
from corvo_server.http.plain import read_headers, read_line
from corvo_server.http.request_id import HEADER, request_id

_Handler: TypeAlias = Callable[..., Awaitable[HTTPResponse]]

_METHOD = "POST"
_ARGUMENT = re.compile("[A-Za-z0-9_-]+")
"""What stands for itself in a path."""
_HEADS = {
    status: format_http1_response(
        status,
        [
            (HEADER.encode(), b"%b"),
            (b"content-length", b"%d"),
            (b"connection", b"keep-alive"),
            (b"content-type", JSON.encode()),
        ],
    )
    for status in (200, 201)
}
"""Of replies, as Sanic would write them, for the id of the request and the length of the body."""


class _Goal(NamedTuple):
    """Where a short way leads."""

    handler: _Handler
    route: Route
    parameter: str | None


class _Shortcuts:
    """The endpoints to which there is a short way."""

    def __init__(self) -> None:
        self._goals: dict[str, _Goal] = {}

    def add(self, app: App, endpoint: Endpoint) -> None:
        """Have one to an endpoint, which takes POST, and at most one argument, last in its path."""
        place, _, parameter = endpoint.path.partition("<")
        example = f"{place}x" if parameter else place
        route, handler, arguments = app.router.get(example, _METHOD, None)
        self._goals[place] = _Goal(cast("_Handler", handler), route, next(iter(arguments), None))

    def find(self, path: str) -> tuple[_Goal, dict[str, str]] | None:
        """What serves `path`, and the arguments for its handler."""
        goal = self._goals.get(path)
        if goal is not None and goal.parameter is None:
            return goal, {}
        place, slash, argument = path.rpartition("/")
        goal = self._goals.get(place + slash)
        if goal is None or goal.parameter is None or not _ARGUMENT.fullmatch(argument):
            return None
        return goal, {goal.parameter: argument}


def install_shortcuts(app: App, endpoints: Collection[Endpoint]) -> None:
    """Let plain requests for `endpoints` go the short way.

    There is none where more is to happen to requests than to tell `app.ctx.observe` of them.
    """
    shortcuts = app.ctx.shortcuts = _Shortcuts()

    async def find_goals(app: App) -> None:
        if app.request_middleware or len(app.response_middleware) > 1 or not app.config.KEEP_ALIVE:
            return
        for endpoint in endpoints:
            shortcuts.add(app, endpoint)

    app.before_server_start(find_goals)


class _Http(Http):
    """Sanic's way through the requests of a connection, with the short one."""

    __slots__ = ["_arguments", "_goal", "_length"]

    _goal: _Goal | None
    _arguments: dict[str, str]
    _length: int

    async def http1_request_header(self) -> None:
        """Read the head of a request."""
        self._goal = None
        if not self._read_plain_head():
            await super().http1_request_header()  # type: ignore[no-untyped-call]

    def _read_plain_head(self) -> bool:
        """Begin a plain request. What else there is stays where it is."""
        line = read_line(self.recv_buffer, self.HEADER_MAX_SIZE)
        if line is None or line.method != _METHOD:
            return False
        shortcuts: _Shortcuts = self.protocol.app.ctx.shortcuts
        found = shortcuts.find(line.path)
        rest = read_headers(line.others) if found else None
        if found is None or rest is None:
            return False
        headers, self._length = rest
        del self.recv_buffer[: len(line.head) + 4]
        self._goal, self._arguments = found
        self.keep_alive = True
        self.head_only = False
        self.url = line.path
        self.request_body = b"to come"  # anything that is true
        self.request_bytes = self.request_bytes_left = self._length
        self.request = self._new_request(line.path, headers, line.head)
        return True

    def _new_request(self, path: str, headers: list[tuple[str, str]], head: bytes) -> Request:
        protocol = self.protocol
        protocol.state["requests_count"] += 1
        request: Request = Request(  # and not `AnyRequest`: the URL can be read
            url_bytes=path.encode(),
            headers=cast("Header", headers),  # of which one is made
            head=head,
            version="1.1",
            method=_METHOD,
            transport=cast("TransportProtocol", protocol.transport),
            app=protocol.app,
        )
        request.stream = self
        return request

    def answer(self, request: Request) -> Awaitable[None]:
        """Answer the request whose head was read."""
        if self._goal is None:
            return self.protocol.app.handle_request(request)
        return self._answer_plain(request, self._goal)

    async def _answer_plain(self, request: Request, goal: _Goal) -> None:
        app = self.protocol.app
        request.route = goal.route
        try:
            await self._receive_body(request)
            response = await goal.handler(request, **self._arguments)
            if not _is_plain(response):
                sent = await request.respond(response)
                await sent.send(end_stream=True)
                return
        except Exception as error:  # noqa: BLE001 - answered by the error handler
            await app.handle_exception(request, error)
            return
        self.response = response
        body: bytes = response.body or b""
        head = _HEADS[response.status] % (request_id(request).encode(), len(body))
        try:
            await self._send(head + body)
        finally:  # and not before: the client would wait for it
            app.ctx.observe(request, response)
        self.stage = Stage.IDLE

    async def _receive_body(self, request: Request) -> None:
        buffer, length = self.recv_buffer, self._length
        if len(buffer) < length or length > self.request_max_size:
            await request.receive_body()
            return
        request.body = bytes(buffer[:length])
        del buffer[:length]
        self.request_body = None
        self.request_bytes_left = 0


class ShortcutProtocol(HttpProtocol):
    """A connection on which plain requests go the short way."""

    __slots__ = ()

    HTTP_CLASS = _Http

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.request_handler = self._answer

    def _answer(self, request: Request) -> Awaitable[None]:
        return cast("_Http", self._http).answer(request)


def _is_plain(response: HTTPResponse) -> bool:
    return response.status in _HEADS and response.content_type == JSON and not response.headers
