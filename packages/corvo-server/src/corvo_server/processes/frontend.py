"""A process that speaks HTTP: it reads, checks and answers requests, and has the writer do them."""

import asyncio
import logging
import os
import socket
from pathlib import Path
from typing import cast

from corvo_schema import IdFactory
from corvo_server.app import build_http
from corvo_server.engine.clock import system_clock
from corvo_server.engine.engine import Engine
from corvo_server.engine.jobs import Jobs
from corvo_server.engine.metrics import RequestMetrics
from corvo_server.engine.notifier import Notifier
from corvo_server.http.request_id import begin_numbers
from corvo_server.http_server import drain, new_loop, relax_collector, start_http
from corvo_server.logs import fields
from corvo_server.processes.child import Lifeline
from corvo_server.processes.counts import samples_of
from corvo_server.processes.forward import Forwarder
from corvo_server.processes.remote import RemoteWorker, Writer
from corvo_server.processes.writer import CALLS, HTTP
from corvo_server.settings import Settings
from corvo_server.store.protocol import Store
from corvo_server.tracing import start_tracing

log = logging.getLogger(__name__)


class _FrontEnd:
    """The part of an engine that front-ends have: what jobs pass through."""

    def __init__(self, settings: Settings, writer: Writer) -> None:
        limits = settings.policy.limits
        self.is_closing = False
        self.worker = RemoteWorker(writer)
        self.jobs = Jobs(
            cast("Store", writer),  # of which enqueueing needs no more than that
            system_clock,
            IdFactory(system_clock),
            Notifier(writer.give_back),
            max_payload_bytes=limits.payload,
        )


def serve_front_end(
    settings: Settings, home: Path, listener: socket.socket, lifeline: Lifeline
) -> None:
    """Serve on `listener` for the writer in `home` until told to stop."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(run_front_end(settings, home, listener, lifeline))


async def run_front_end(
    settings: Settings, home: Path, listener: socket.socket, lifeline: Lifeline
) -> None:
    """Serve on `listener` until told to stop."""
    told = lifeline.watch()
    begin_numbers()
    requests = RequestMetrics()
    writer = Writer(str(home / CALLS), lambda: samples_of(requests))
    front = _FrontEnd(settings, writer)
    forwarder = Forwarder(str(home / HTTP))
    app, access_log = build_http(settings, cast("Engine", front), requests, forwarder.forward)
    tracing = start_tracing()
    if tracing is not None:
        tracing.watch(cast("Engine", front), app)
    linked = asyncio.Event()
    link = asyncio.create_task(writer.stay_linked(linked.set))
    ended = asyncio.create_task(told.wait())
    await asyncio.wait([ended, asyncio.create_task(linked.wait())], return_when="FIRST_COMPLETED")
    if not told.is_set():
        http = await start_http(app, listener)
        relax_collector()
        log.info("a front-end listens", extra=fields(pid=os.getpid()))
        lifeline.tell_ready()
        await told.wait()
        log.info("stopping: no new connections are accepted")
        http.close()
        front.is_closing = True
        log.info("stopping: %d waiting fetches are answered", front.worker.waiting)
        front.worker.send_home()
        forwarder.close()
        left = await drain(http, settings.shutdown_timeout / 1000)
        done = f"{left} requests were cut off" if left else "requests in flight are done"
        log.info("stopping: %s", done)
    link.cancel()
    writer.unlink()
    access_log.flush()
    if tracing is not None:
        await asyncio.to_thread(tracing.close)
