"""One server process, from its start to its graceful shutdown."""

import asyncio
import logging
import os
import signal
import sys
from contextlib import suppress
from functools import partial
from types import FrameType

from sanic.server.async_server import AsyncioServer

from corvo_server.app import build_engine, build_http, build_services, open_store
from corvo_server.certificates import TlsError
from corvo_server.engine.engine import Engine
from corvo_server.first_key import FirstKeyError, make_first_key
from corvo_server.http.access_log import AccessLog
from corvo_server.http.hosts import is_loopback
from corvo_server.http.secure import Tls
from corvo_server.http_server import (
    BindError,
    bind,
    drain,
    new_loop,
    raise_file_limit,
    relax_collector,
    start_http,
    url_of,
)
from corvo_server.logs import fields
from corvo_server.memory import return_freed_memory
from corvo_server.services.service import end_all, start_all
from corvo_server.settings import Settings, split_bind
from corvo_server.store.protocol import Store, StoreError
from corvo_server.tls import TlsSource
from corvo_server.tracing import start_tracing

log = logging.getLogger(__name__)


class OpenServerError(Exception):
    """Raised instead of serving a network without keys. The message says what to do."""

    def __init__(self, bind: str) -> None:
        super().__init__(
            f"Other machines reach {bind}, and there are no API keys: everybody could read and "
            "change all jobs. Make a key with: corvo-server keys create --name admin --role admin. "
            "Or let this server make one: --bootstrap-key. Or serve this machine only: --bind "
            "127.0.0.1:8080. Or, if the network is trusted: --insecure-no-auth."
        )


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then shut down gracefully. A second signal exits at once."""
    return_freed_memory()
    store = open_store(settings)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(Server(settings, store).run())


class Server:
    """A running server with all its parts."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Serve until a signal arrives, then shut down. Raise `BindError`, `OpenServerError`."""
        self._catch_signals()
        self._fit_connections()
        try:
            tls = self._load_tls()
            listener = bind(self._settings.bind)
        except (BindError, TlsError):
            await self._store.close()
            raise
        engine = build_engine(self._settings, self._store)
        await engine.keys.load()
        url = url_of(listener, is_tls=tls is not None)
        engine.nodes.address = url
        await engine.nodes.beat()  # adjusts the shared clock before the first request
        try:
            await make_first_key(self._settings, engine)
            self._check_access(engine)
        except (FirstKeyError, OpenServerError):
            listener.close()
            with suppress(StoreError):
                await engine.nodes.leave()
            await self._store.close()
            raise
        app, requests = build_http(self._settings, engine, tls=tls)
        tracing = start_tracing()
        if tracing is not None:
            tracing.watch(engine, app)
        http = await start_http(app, listener)
        tasks = start_all(build_services(self._settings, engine))
        log.info("listening on %s", url, extra=fields(url=url, pid=os.getpid()))
        relax_collector()
        await self._stop.wait()
        await self._shut_down(http, engine, requests, tasks)
        if tracing is not None:
            await asyncio.to_thread(tracing.close)

    def _check_access(self, engine: Engine) -> None:
        """Raise `OpenServerError` if other machines can call without a key, unless that is set."""
        if engine.keys.are_required or is_loopback(split_bind(self._settings.bind)[0]):
            return
        if not self._settings.insecure_no_auth:
            raise OpenServerError(self._settings.bind)
        log.warning(
            "this server on %s needs no API keys: everybody who reaches it can read and change "
            "all jobs; make a key with: corvo-server keys create --name admin --role admin",
            self._settings.bind,
        )

    def _load_tls(self) -> Tls | None:
        """Load the files of TLS, and again on SIGHUP. Raise `TlsError`."""
        files = self._settings.tls_files
        if files is None:
            return None
        source = TlsSource(files)
        if sys.platform != "win32":
            loop = asyncio.get_running_loop()
            reload = partial(loop.call_soon_threadsafe, source.reload)
            signal.signal(signal.SIGHUP, lambda *_: reload())
        return source.tls

    def _fit_connections(self) -> None:
        """Lower the maximum number of connections to what the system allows."""
        wanted = self._settings.max_connections
        allowed = max(1, raise_file_limit(wanted))
        if allowed < wanted:
            log.warning(
                "the limit of open files allows %d connections, not --max-connections %d; raise it "
                "with ulimit -n or LimitNOFILE",
                allowed,
                wanted,
            )
            self._settings = self._settings.model_copy(update={"max_connections": allowed})

    def _catch_signals(self) -> None:
        is_stopping = False

        def stop(number: int, _: FrameType | None) -> None:
            nonlocal is_stopping
            if is_stopping:
                os._exit(128 + number)
            is_stopping = True
            loop.call_soon_threadsafe(self._stop.set)

        loop = asyncio.get_running_loop()
        # Not loop.add_signal_handler: a second signal must end the process even if the loop hangs.
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
        log.info("stopping: answering %d waiting fetches", engine.notifier.waiting)
        engine.start_closing()
        aborted = await drain(http, self._settings.shutdown_timeout / 1000)
        done = f"{aborted} requests were cut off" if aborted else "requests in flight are done"
        log.info("stopping: %s", done)
        await end_all(tasks)
        with suppress(StoreError):
            await engine.nodes.leave()
        await self._store.close()
        requests.flush()
        log.info("stopped: the store is closed")
