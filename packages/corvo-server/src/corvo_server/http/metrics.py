"""Metrics for Prometheus."""

from functools import cache

from sanic import HTTPResponse, Request

from corvo_server.engine.metrics import Metrics
from corvo_server.http.endpoint import Resource, documented, engine_of
from corvo_server.http.middleware import Observer

resource = Resource("metrics")

_UNMATCHED = "unmatched"

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


def observer_of(metrics_: Metrics) -> Observer:
    """What counts and times requests, by route: paths would be without bound."""
    requests = cache(metrics_.requests.labels)
    request_seconds = cache(metrics_.request_seconds.labels)
    named = cache(documented)

    def observe(request: Request, response: HTTPResponse, seconds: float) -> None:
        route = request.route
        if route is None:  # the method, too, is whatever somebody made up
            method = name = _UNMATCHED
        else:
            method, name = request.method, named(f"/{route.path}")
        requests(method, name, response.status).inc()
        request_seconds(name).observe(seconds)

    return observe


@resource.endpoint("GET", "/metrics", replies={200: str}, media_type="text/plain")
async def metrics(request: Request) -> HTTPResponse:
    """Return the server's metrics as Prometheus text."""
    engine = engine_of(request)
    text = engine.metrics.render(await engine.queues.list(), engine.clock())
    return HTTPResponse(text, content_type=_TEXT)
