"""The HTTP server: its event loop, its listening socket, its start and its shutdown."""

import asyncio
import errno
import gc
import os
import socket
import sys
from contextlib import suppress

from sanic.application.state import ApplicationServerInfo
from sanic.http.constants import HTTP
from sanic.server.async_server import AsyncioServer

from corvo_server.http.endpoint import App
from corvo_server.http.fast_path import FastPathProtocol
from corvo_server.http.secure import SecureProtocol
from corvo_server.settings import split_bind

if sys.platform != "win32":
    import resource

_BACKLOG = 1024
_KEEP_ALIVE = (
    ("TCP_KEEPIDLE", 6),
    ("TCP_KEEPALIVE", 6),
    ("TCP_KEEPINTVL", 2),
    ("TCP_KEEPCNT", 3),
    ("TCP_USER_TIMEOUT", 12_000),
)
"""Options that find a peer that has vanished within 12 seconds, also while data is on its way.

The kernel probes after 6 seconds of silence, every 2 seconds, and ends the connection after 3
probes. The last option, in ms, limits how long data may stay unacknowledged, or a reader may take
nothing. No system has all of them; macOS calls the first one by the second name.
"""
_NOT_SENT_BYTES = 128 * 1024
"""Bytes of a reply that the kernel takes beyond what the client has room for.

By default, it takes up to 4 MB for each client that does not read, outside of any budget.
"""
_OTHER_FILES = 256
"""Number of files that the server needs besides its connections."""
_STREAM_SECONDS = 1.0
"""Seconds that a shutdown waits for viewers to read the rest of their event streams."""
_POLL = 0.01
"""Seconds between two checks for busy connections during a shutdown."""


def new_loop() -> asyncio.AbstractEventLoop:
    """Return a new event loop: uvloop's if it is installed, else asyncio's."""
    try:
        import uvloop  # noqa: PLC0415 - not available on Windows
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def relax_collector() -> None:
    """Run the cyclic garbage collector less often, and not on the objects that exist now.

    A batch creates thousands of objects without cycles. With the default threshold of 700
    objects, the collector took a fifth of the CPU time of jobs in batches.
    """
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def bind(address: str) -> socket.socket:
    """Return a socket bound to `address` (HOST:PORT), not listening yet. Raise `BindError`."""
    host, port = split_bind(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _keep_alive(listener)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _NOT_SENT_BYTES)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise BindError(address, error) from error
    return listener


def _keep_alive(listener: socket.socket) -> None:
    """Find vanished peers of the connections that `listener` accepts: they take its options."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE:
        option = getattr(socket, name, None)
        if option is not None:
            with suppress(OSError):  # a kernel may lack an option that Python knows
                listener.setsockopt(socket.IPPROTO_TCP, option, value)


def raise_file_limit(connections: int) -> int:
    """Raise the limit of open files for so many connections. Return how many it allows."""
    if sys.platform == "win32":
        return connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return connections if soft == resource.RLIM_INFINITY else min(connections, soft - _OTHER_FILES)


def url_of(listener: socket.socket, *, is_tls: bool = False) -> str:
    """Return the URL of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"{'https' if is_tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


async def start_http(app: App, listener: socket.socket) -> AsyncioServer:
    """Start to serve requests on `listener`. Return the running server."""
    # Else Sanic advises in a terminal to use its own options for development.
    os.environ["SANIC_IGNORE_PRODUCTION_WARNING"] = "true"
    # With HTTP/1 as its only version, Sanic adds no alt-svc header to replies.
    app.state.server_info.append(ApplicationServerInfo(settings={"version": HTTP.VERSION_1}))
    server = await app.create_server(
        sock=listener,
        backlog=_BACKLOG,
        protocol=FastPathProtocol if app.ctx.tls is None else SecureProtocol,
        return_asyncio_server=True,
        asyncio_server_kwargs={"start_serving": False},
    )
    if server is None:  # for the type checker: `return_asyncio_server` excludes it
        raise RuntimeError("Sanic returned no server")
    await server.startup()
    await server.before_start()
    await server.after_start()
    await server.start_serving()
    return server


async def drain(http: AsyncioServer, seconds: float) -> int:
    """Wait at most `seconds` for busy connections, then abort them. Return the number aborted.

    Event streams are aborted after a second, and not counted: their clients resume them.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    while True:
        busy = [conn for conn in list(http.connections) if not conn.close_if_idle()]
        waited = loop.time() - started
        if not busy or waited >= seconds:
            break
        if waited >= _STREAM_SECONDS:
            for connection in busy:
                if connection.is_streaming:
                    connection.abort()
        await asyncio.sleep(_POLL)
    for connection in busy:
        connection.abort()
    return sum(not connection.is_streaming for connection in busy)


class BindError(Exception):
    """Raised when the server cannot listen on its address."""

    def __init__(self, bind: str, error: OSError) -> None:
        super().__init__(
            f"Cannot listen on {bind}: {error.strerror}. {_advice(error)} Set another address with "
            "--bind or CORVO_BIND."
        )


def _advice(error: OSError) -> str:
    """Return a sentence that says why a server cannot listen on an address."""
    if isinstance(error, socket.gaierror):
        return "The host is neither an address nor a name that this machine can resolve."
    if error.errno == errno.EADDRINUSE:
        return "Another program listens there: is a server already running?"
    if error.errno == errno.EADDRNOTAVAIL:
        return "This machine has no such address."
    if error.errno == errno.EACCES:
        return "Only privileged users may listen on this port."
    return "The address cannot be used."
