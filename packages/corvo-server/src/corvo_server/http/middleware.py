"""Middleware of every request: the guard, the request id, observers (log and metrics), CORS."""

import re
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import TypeAlias

from sanic import HTTPResponse, Request

from corvo_server.http.cross_site import READING, Origins, is_writing
from corvo_server.http.endpoint import App
from corvo_server.http.gate import Gate
from corvo_server.http.hosts import Hosts
from corvo_server.http.proxies import forwarded_host, is_https
from corvo_server.http.request import check_declared_type
from corvo_server.http.request_id import HEADER, request_id

_CORS_HEADERS = "authorization, content-type, last-event-id, x-api-key, x-request-id"
_CORS_METHODS = "GET, POST, PUT, DELETE, OPTIONS"
_CORS_EXPOSED = f"location, retry-after, {HEADER}"
_FIRST, _SECOND = 2, 1
"""Priorities of middleware that runs before all other, which have 0."""
_PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}
"""Headers of HTML pages, unless their handlers set others. Pages run no scripts."""
_END_OF_HOST = re.compile("[/?#]")


Observer: TypeAlias = Callable[[Request, HTTPResponse, float], None]
"""Called with each answered request, its response and its duration in seconds."""


def install_observers(app: App, observers: Sequence[Observer], hsts_ms: int = 0) -> None:
    """Add the request id and the security headers to every reply; call `observers` with it.

    With `hsts_ms`, replies over HTTPS tell browsers to use only HTTPS for so long. Code that
    answers without Sanic's middleware calls `app.ctx.observe` instead.
    """
    hsts = f"max-age={hsts_ms // 1000}" if hsts_ms else None

    def observe_all(request: Request, response: HTTPResponse) -> None:
        # Sanic records the start after the head is read. Without a head, the duration is 0.
        started = getattr(request.stream, "perft0", None)
        seconds = 0.0 if started is None else perf_counter() - started
        for observe in observers:
            observe(request, response, seconds)

    async def finish(request: Request, response: HTTPResponse) -> None:
        response.headers[HEADER] = request_id(request)
        _secure(request, response, hsts)
        observe_all(request, response)

    app.ctx.observe = observe_all
    app.on_response(finish)


def _secure(request: Request, response: HTTPResponse, hsts: str | None) -> None:
    """Add the headers that tell browsers and caches to be careful.

    The fast path sends only the first of them: browsers and caches make none of its requests.
    """
    headers = response.headers
    headers["x-content-type-options"] = "nosniff"
    if request.method in READING:
        headers.setdefault("cache-control", "no-store")
    if (response.content_type or "").startswith("text/html"):
        for name, value in _PAGE_HEADERS.items():
            headers.setdefault(name, value)
    if hsts is not None and is_https(request):
        headers["strict-transport-security"] = hsts


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
    app.on_request(guard, priority=_FIRST)


def _hosts_of(request: Request) -> Iterator[str]:
    """Yield the values of the header `Host`, the host in the target, and that of a proxy."""
    yield from request.headers.getall("host", [])
    if not request.raw_url.startswith(b"/"):
        _, is_absolute, rest = request.raw_url.decode("latin-1").partition("://")
        if is_absolute:
            yield _END_OF_HOST.split(rest, maxsplit=1)[0]
    host = forwarded_host(request)
    if host is not None:
        yield host


def _local_address(request: Request) -> str:
    """Return the address of this machine at which the request arrived; empty if unknown."""
    found = request.transport.get_extra_info("sockname")
    return str(found[0]) if isinstance(found, tuple) else ""


def install_cors(app: App, origins: Origins) -> None:
    """Allow web pages of `origins` to call the API. They must send the key themselves.

    No reply allows credentials, so a browser sends neither cookies nor client certificates.
    """

    async def preflight(request: Request) -> HTTPResponse | None:
        is_preflight = request.method == "OPTIONS" and request.headers.get(
            "access-control-request-method"
        )
        return HTTPResponse(status=204) if is_preflight else None

    async def allow(request: Request, response: HTTPResponse) -> None:
        if not origins.is_open:
            _vary_by_origin(response)
        origin = request.headers.get("origin")
        if origin is None or not origins.allow(origin):
            return
        response.headers["access-control-allow-origin"] = "*" if origins.is_open else origin
        response.headers["access-control-expose-headers"] = _CORS_EXPOSED
        if request.method == "OPTIONS":
            response.headers["access-control-allow-headers"] = _CORS_HEADERS
            response.headers["access-control-allow-methods"] = _CORS_METHODS
            response.headers["access-control-max-age"] = "600"

    # A browser sends no key with a preflight, so it is answered before keys are checked.
    app.on_request(preflight, priority=_SECOND)
    app.on_response(allow)


def _vary_by_origin(response: HTTPResponse) -> None:
    """Keep caches from using the reply for pages of other origins."""
    others = response.headers.get("vary")
    response.headers["vary"] = f"{others}, origin" if others else "origin"
