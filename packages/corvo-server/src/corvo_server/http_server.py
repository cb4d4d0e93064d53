"""Serve HTTP: the event loop, the listening socket, the start and the end."""

import asyncio
import gc
import socket

from sanic.application.state import ApplicationServerInfo
from sanic.http.constants import HTTP
from sanic.server.async_server import AsyncioServer

from corvo_server.http.endpoint import App
from corvo_server.http.fast_path import FastPathProtocol
from corvo_server.settings import split_bind

_BACKLOG = 1024
_POLL = 0.01
"""Seconds between looks at connections that are still busy."""


def new_loop() -> asyncio.AbstractEventLoop:
    """An event loop, the fastest there is."""
    try:
        import uvloop  # noqa: PLC0415 - not there on Windows
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def relax_collector() -> None:
    """Look for garbage in cycles less often, and not among what lives as long as the process.

    A batch makes thousands of objects that are in no cycle; looking through them, and through all
    modules, every 700 took a fifth of the CPU of a job that is enqueued, fetched and acked in one.
    """
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def bind(address: str) -> socket.socket:
    """A socket at `address`, not listening yet. Raises `BindError`."""
    host, port = split_bind(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise BindError(address, error) from error
    return listener


def url_of(listener: socket.socket) -> str:
    """Where a socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def start_http(app: App, listener: socket.socket) -> AsyncioServer:
    """Take requests."""
    # Told that HTTP/1 is all there is, Sanic leaves the header alt-svc away.
    app.state.server_info.append(ApplicationServerInfo(settings={"version": HTTP.VERSION_1}))
    server = await app.create_server(
        sock=listener,
        backlog=_BACKLOG,
        protocol=FastPathProtocol,
        return_asyncio_server=True,
        asyncio_server_kwargs={"start_serving": False},
    )
    if server is None:  # only where it was asked to return none
        raise RuntimeError("Sanic returned no server")
    await server.startup()
    await server.before_start()
    await server.after_start()
    await server.start_serving()
    return server


async def drain(http: AsyncioServer, seconds: float) -> int:
    """Wait for busy connections, within the bound; how many had to be cut off."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        busy = [conn for conn in list(http.connections) if not conn.close_if_idle()]
        if not busy or loop.time() >= deadline:
            break
        await asyncio.sleep(_POLL)
    for connection in busy:
        connection.abort()
    return len(busy)


class BindError(Exception):
    """The address cannot be listened on."""

    def __init__(self, bind: str, error: OSError) -> None:
        super().__init__(
            f"Cannot listen on {bind}: {error.strerror}. Is another server running there? "
            "Choose another address with --bind."
        )
