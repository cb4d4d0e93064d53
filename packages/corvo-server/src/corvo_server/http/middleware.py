"""Middleware of every request: the guard, the request id, observers (log and metrics), CORS."""

import re
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import TypeAlias

from sanic import HTTPResponse, Request

from corvo_server.http.cross_site import Origins, is_writing
from corvo_server.http.endpoint import App
from corvo_server.http.gate import Gate
from corvo_server.http.hosts import Hosts
from corvo_server.http.request import check_declared_type
from corvo_server.http.request_id import HEADER, request_id

_CORS_HEADERS = "authorization, content-type, last-event-id, x-api-key, x-request-id"
_CORS_METHODS = "GET, POST, PUT, DELETE, OPTIONS"
_END_OF_HOST = re.compile("[/?#]")


Observer: TypeAlias = Callable[[Request, HTTPResponse, float], None]
"""Called with each answered request, its response and its duration in seconds."""


def install_observers(app: App, observers: Sequence[Observer]) -> None:
    """Add the request id to every reply and call `observers` with it.

    Code that answers without Sanic's middleware calls `app.ctx.observe` instead.
    """

    def observe_all(request: Request, response: HTTPResponse) -> None:
        # Sanic records the start after the head is read. Without a head, the duration is 0.
        started = getattr(request.stream, "perft0", None)
        seconds = 0.0 if started is None else perf_counter() - started
        for observe in observers:
            observe(request, response, seconds)

    async def finish(request: Request, response: HTTPResponse) -> None:
        response.headers[HEADER] = request_id(request)
        observe_all(request, response)

    app.ctx.observe = observe_all
    app.on_response(finish)


def install_guard(app: App, hosts: Hosts, origins: Origins, gate: Gate) -> None:
    """Refuse requests for other hosts, without the key they need, and changes by web pages.

    Web pages of `origins` may change something.

    The fast path does not run this. It leaves every request to Sanic that this might refuse.
    """

    async def guard(request: Request) -> None:
        hosts.check(_hosts_of(request), _local_address(request))
        if is_writing(request):
            origins.check(request)
            check_declared_type(request)
        gate.admit(request)

    app.ctx.gate = gate
    app.on_request(guard)


def _hosts_of(request: Request) -> Iterator[str]:
    """Yield the values of the header `Host`, and the host in the target `http://host/path`."""
    yield from request.headers.getall("host", [])
    if not request.raw_url.startswith(b"/"):
        _, is_absolute, rest = request.raw_url.decode("latin-1").partition("://")
        if is_absolute:
            yield _END_OF_HOST.split(rest, maxsplit=1)[0]


def _local_address(request: Request) -> str:
    """Return the address of this machine at which the request arrived; empty if unknown."""
    found = request.transport.get_extra_info("sockname")
    return str(found[0]) if isinstance(found, tuple) else ""


def install_cors(app: App, origins: Origins) -> None:
    """Allow web pages of `origins` to call the API."""

    async def preflight(request: Request) -> HTTPResponse | None:
        is_preflight = request.method == "OPTIONS" and request.headers.get(
            "access-control-request-method"
        )
        return HTTPResponse(status=204) if is_preflight else None

    async def allow(request: Request, response: HTTPResponse) -> None:
        origin = request.headers.get("origin")
        if origin is None or not origins.allow(origin):
            return
        response.headers["access-control-allow-origin"] = "*" if origins.is_open else origin
        response.headers["vary"] = "origin"
        response.headers["access-control-expose-headers"] = HEADER
        if request.method == "OPTIONS":
            response.headers["access-control-allow-headers"] = _CORS_HEADERS
            response.headers["access-control-allow-methods"] = _CORS_METHODS
            response.headers["access-control-max-age"] = "600"

    app.on_request(preflight)
    app.on_response(allow)
