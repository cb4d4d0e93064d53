"""Middleware of every request: the request id, observers (log and metrics), CORS."""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TypeAlias

from sanic import HTTPResponse, Request

from corvo_server.http.endpoint import App
from corvo_server.http.request_id import HEADER, request_id

_CORS_HEADERS = "authorization, content-type, last-event-id, x-request-id"
_CORS_METHODS = "GET, POST, PUT, DELETE, OPTIONS"


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


def install_cors(app: App, origins: Sequence[str]) -> None:
    """Allow web pages of `origins` (`*`: of any) to call the API. Do nothing without origins."""
    if not origins:
        return
    is_open = "*" in origins

    async def preflight(request: Request) -> HTTPResponse | None:
        is_preflight = request.method == "OPTIONS" and request.headers.get(
            "access-control-request-method"
        )
        return HTTPResponse(status=204) if is_preflight else None

    async def allow(request: Request, response: HTTPResponse) -> None:
        origin = request.headers.get("origin")
        if origin is None or not (is_open or origin in origins):
            return
        response.headers["access-control-allow-origin"] = "*" if is_open else origin
        response.headers["vary"] = "origin"
        response.headers["access-control-expose-headers"] = HEADER
        if request.method == "OPTIONS":
            response.headers["access-control-allow-headers"] = _CORS_HEADERS
            response.headers["access-control-allow-methods"] = _CORS_METHODS
            response.headers["access-control-max-age"] = "600"

    app.on_request(preflight)
    app.on_response(allow)
