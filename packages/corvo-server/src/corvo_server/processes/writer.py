"""The process that owns the database: today's server, but that its front-ends have the port."""

import asyncio
import logging
import os
import shutil
import socket
from contextlib import suppress
from pathlib import Path

from corvo_server.app import build_engine, build_http, build_services, open_store
from corvo_server.http_server import drain, new_loop, relax_collector, start_http
from corvo_server.logs import fields
from corvo_server.processes.child import Lifeline
from corvo_server.processes.core import Core
from corvo_server.services.service import end_all, start_all
from corvo_server.settings import Settings
from corvo_server.store.protocol import Store, StoreError
from corvo_server.tracing import start_tracing

log = logging.getLogger(__name__)

HOME_PREFIX = "corvo-run-"
CALLS = "calls.sock"
HTTP = "http.sock"
_LONGER = 1.0
"""Seconds that front-ends may take beyond the bound for their own requests."""


def serve_writer(settings: Settings, home: Path, url: str, lifeline: Lifeline) -> None:
    """Serve front-ends, which listen at `url`, over sockets in `home`, until told to stop.

    Raises `UnusableStoreError`.
    """
    store = open_store(settings)
    for stale in settings.sqlite_dir.glob(f"{HOME_PREFIX}*"):  # of one that was killed
        if stale != home:
            shutil.rmtree(stale, ignore_errors=True)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(run_writer(settings, home, url, lifeline, store))


async def run_writer(
    settings: Settings, home: Path, url: str, lifeline: Lifeline, store: Store
) -> None:
    """Serve front-ends from `store`, which is closed in the end."""
    told = lifeline.watch()
    engine = build_engine(settings, store)
    core = Core(engine)
    app, _ = build_http(settings, engine, None)
    tracing = start_tracing()
    if tracing is not None:
        tracing.watch(engine, app)
    engine.nodes.address = url
    await engine.nodes.beat()
    http = await start_http(app, _listen(home / HTTP))
    calls = await asyncio.get_running_loop().create_unix_server(
        core.accept, sock=_listen(home / CALLS)
    )
    tasks = start_all(build_services(settings, engine))
    relax_collector()
    log.info("writing to %s", settings.place, extra=fields(pid=os.getpid()))
    lifeline.tell_ready()
    await told.wait()
    patience = settings.shutdown_timeout / 1000
    left = await core.wait_until_alone(patience + _LONGER)
    if left:
        log.warning("stopping: %d front-ends were cut off", left)
    calls.close()
    http.close()
    engine.start_closing()
    await drain(http, patience)
    await end_all(tasks)
    with suppress(StoreError):
        await engine.nodes.leave()
    await store.close()
    log.info("stopped: the store is closed")
    if tracing is not None:
        await asyncio.to_thread(tracing.close)


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)  # of a writer that was killed
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(128)
    listener.setblocking(False)
    return listener
