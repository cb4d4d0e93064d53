"""One server process, from its start to a stop that keeps its word."""

import asyncio
import gc
import logging
import os
import signal
import socket
from contextlib import suppress
from types import FrameType

from sanic.application.state import ApplicationServerInfo
from sanic.http.constants import HTTP
from sanic.server.async_server import AsyncioServer

from corvo_server.app import build_engine, build_http, build_services, open_store
from corvo_server.engine.engine import Engine
from corvo_server.http.access_log import AccessLog
from corvo_server.http.endpoint import App
from corvo_server.logs import fields
from corvo_server.settings import Settings, split_bind
from corvo_server.store.protocol import Store, StoreError
from corvo_server.tracing import start_tracing

log = logging.getLogger(__name__)

_BACKLOG = 1024
_POLL = 0.01
"""Seconds between looks at connections that are still busy."""


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then stop in order. A second signal exits at once."""
    store = open_store(settings)
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        runner.run(Server(settings, store).run())


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415 - not there on Windows
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class Server:
    """The parts of a running server."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Serve until told to stop."""
        self._catch_signals()
        try:
            listener = _bind(self._settings.bind)
        except BindError:
            await self._store.close()
            raise
        engine = build_engine(self._settings, self._store)
        app, requests = build_http(self._settings, engine)
        tracing = start_tracing()
        if tracing is not None:
            tracing.watch(engine, app)
        url = _url_of(listener)
        engine.nodes.address = url
        await engine.nodes.beat()  # which sets the clock
        http = await _start_http(app, listener)
        tasks = [
            asyncio.create_task(service.run(), name=service.name)
            for service in build_services(self._settings, engine)
        ]
        log.info("listening on %s", url, extra=fields(url=url, pid=os.getpid()))
        _relax_collector()
        await self._stop.wait()
        await self._shut_down(http, engine, requests, tasks)
        if tracing is not None:
            await asyncio.to_thread(tracing.close)

    def _catch_signals(self) -> None:
        is_stopping = False

        def stop(number: int, _: FrameType | None) -> None:
            nonlocal is_stopping
            if is_stopping:
                os._exit(128 + number)
            is_stopping = True
            loop.call_soon_threadsafe(self._stop.set)

        loop = asyncio.get_running_loop()
        # Not loop.add_signal_handler: a second signal must end even a process whose loop hangs.
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)

    async def _shut_down(
        self,
        http: AsyncioServer,
        engine: Engine,
        requests: AccessLog,
        tasks: list[asyncio.Task[None]],
    ) -> None:
        log.info("stopping: no new connections are accepted")
        http.close()
        log.info("stopping: %d waiting fetches are answered", engine.notifier.waiting)
        engine.start_closing()
        left = await self._drain(http)
        done = f"{left} requests were cut off" if left else "requests in flight are done"
        log.info("stopping: %s", done)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        log.info("stopping: services have ended")
        with suppress(StoreError):
            await engine.nodes.leave()
        await self._store.close()
        requests.flush()
        log.info("stopped: the store is closed")

    async def _drain(self, http: AsyncioServer) -> int:
        """Wait for busy connections, within the bound; how many had to be cut off."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.shutdown_timeout / 1000
        while True:
            busy = [conn for conn in list(http.connections) if not conn.close_if_idle()]
            if not busy or loop.time() >= deadline:
                break
            await asyncio.sleep(_POLL)
        for connection in busy:
            connection.abort()
        return len(busy)


def _relax_collector() -> None:
    """Look for garbage in cycles less often, and not among what lives as long as the process.

    A batch makes thousands of objects that are in no cycle; looking through them, and through all
    modules, every 700 took a fifth of the CPU of a job that is enqueued, fetched and acked in one.
    """
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _bind(bind: str) -> socket.socket:
    host, port = split_bind(bind)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise BindError(bind, error) from error
    return listener


def _url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def _start_http(app: App, listener: socket.socket) -> AsyncioServer:
    # Told that HTTP/1 is all there is, Sanic leaves the header alt-svc away.
    app.state.server_info.append(ApplicationServerInfo(settings={"version": HTTP.VERSION_1}))
    server = await app.create_server(
        sock=listener,
        backlog=_BACKLOG,
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


class BindError(Exception):
    """The address cannot be listened on."""

    def __init__(self, bind: str, error: OSError) -> None:
        super().__init__(
            f"Cannot listen on {bind}: {error.strerror}. Is another server running there? "
            "Choose another address with --bind."
        )
