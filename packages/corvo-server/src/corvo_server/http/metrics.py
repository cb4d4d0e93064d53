"""Endpoint of the metrics for Prometheus, and the observer that counts requests."""

from functools import cache

from sanic import HTTPResponse, Request

from corvo_server.auth.caller import caller
from corvo_server.engine.metrics import Metrics
from corvo_server.http.endpoint import SEE, Resource, documented
from corvo_server.http.middleware import Observer
from corvo_server.http.request import engine_of

resource = Resource("metrics")

_UNMATCHED = "unmatched"

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


def observer_of(metrics_: Metrics) -> Observer:
    """Return the observer that counts and times requests by route.

    The number of paths is unbounded, so they are not labels.
    """
    requests = cache(metrics_.requests.labels)
    request_seconds = cache(metrics_.request_seconds.labels)
    named = cache(documented)

    def observe(request: Request, response: HTTPResponse, seconds: float) -> None:
        route = request.route
        if route is None:  # then the method can be any text, too
            method = name = _UNMATCHED
        else:
            method, name = request.method, named(f"/{route.path}")
        requests(method, name, response.status).inc()
        request_seconds(name).observe(seconds)

    return observe


@resource.endpoint("GET", "/metrics", roles=SEE, replies={200: str}, media_type="text/plain")
async def metrics(request: Request) -> HTTPResponse:
    """Return the server's metrics in the Prometheus text format.

    A key with a scope gets the metrics by queue, of its queues.
    """
    engine = engine_of(request)
    text = engine.metrics.render(
        await engine.queues.list(), engine.clock(), only_queues=caller().scope is not None
    )
    return HTTPResponse(text, content_type=_TEXT)
