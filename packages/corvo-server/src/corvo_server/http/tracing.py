"""Continues the traces of callers, from the headers of requests. Loaded only for tracing."""

from opentelemetry.context import Context, attach
from opentelemetry.propagate import extract
from sanic import Request

from corvo_server.http.endpoint import App


def install_propagation(app: App) -> None:
    """Make the span in a request's headers the parent of the spans of the request."""

    async def enter(request: Request) -> None:
        # All requests of a connection run in one asyncio task, so each must set its own context.
        attach(extract(request.headers, context=Context()))

    app.on_request(enter)
