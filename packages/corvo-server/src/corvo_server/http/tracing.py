"""Where a request belongs in a trace, from its headers. Loaded only where tracing is on."""

from opentelemetry.context import Context, attach
from opentelemetry.propagate import extract
from sanic import Request

from corvo_server.http.endpoint import App


def install_propagation(app: App) -> None:
    """Let the spans of a request stand below the caller's, which its headers name."""

    async def enter(request: Request) -> None:
        # A connection has one asyncio task for all its requests: none must go on in the last one's.
        attach(extract(request.headers, context=Context()))

    app.on_request(enter)
