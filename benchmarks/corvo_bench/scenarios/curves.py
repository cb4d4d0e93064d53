"""How cost grows: the same loads along an axis. They should be flat."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from corvo_bench.children import run_apart, started_apart
from corvo_bench.load import verify
from corvo_bench.load.closed import PAYLOAD, enqueues, lives
from corvo_bench.load.idle import idle
from corvo_bench.load.offered import offered
from corvo_bench.results import BenchmarkError, Sample
from corvo_bench.scenarios.bench import QUEUE, Bench, measure
from corvo_bench.scenarios.delivery import delivered
from corvo_bench.seed import extend, seed_scheduled
from corvo_bench.server import Server

_CONNECTIONS = 50
_PAYLOAD_CONNECTIONS = 10
_IDLE = "idle"
_PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.05


def by_finished(bench: Bench) -> Iterator[Sample]:
    """Jobs that are done stay in the table, and must not be felt."""
    with bench.data_dir() as data_dir:
        for x in bench.settings.finished_jobs:
            run_apart(extend, data_dir, x)
            yield from _both("by_finished", bench, data_dir, x)


def by_scheduled(bench: Bench) -> Iterator[Sample]:
    """Jobs for another day."""
    with bench.data_dir() as data_dir:
        for x in bench.settings.scheduled_jobs:
            run_apart(seed_scheduled, data_dir, x)
            yield from _both("by_scheduled", bench, data_dir, x)


def _both(name: str, bench: Bench, data_dir: Path, x: int) -> Iterator[Sample]:
    seconds = bench.settings.curve_seconds
    with Server(data_dir) as server:
        queue = f"{QUEUE}-enqueue-{x}"
        args = ([queue], _CONNECTIONS, seconds)
        sample, outcome = measure(f"{name}.enqueue", server, enqueues, *args)
        verify.finish(server, [queue], outcome.enqueued)
        yield replace(sample, x=x)
    with Server(data_dir) as server:
        queue = f"{QUEUE}-life-{x}"
        args = ([queue], _CONNECTIONS, seconds)
        sample, outcome = measure(f"{name}.life", server, lives, *args)
        verify.require_finished(server, [queue], outcome.enqueued, outcome.finished)
        yield replace(sample, x=x)


def by_queues(bench: Bench) -> Iterator[Sample]:
    """Jobs go round all queues; each connection lives in one of them."""
    for x in bench.settings.queues:
        queues = [f"{QUEUE}-{number:04d}" for number in range(x)]
        with bench.fresh_server() as server:
            args = (queues, _CONNECTIONS, bench.settings.curve_seconds)
            sample, outcome = measure("by_queues.enqueue", server, enqueues, *args)
            verify.finish(server, queues, outcome.enqueued)
            yield replace(sample, x=x)
            done = outcome.count
            sample, outcome = measure("by_queues.life", server, lives, *args)
            sent = outcome.enqueued
            verify.require_finished(server, queues, sent, outcome.finished, before=done)
            yield replace(sample, x=x)


def by_idle_workers(bench: Bench) -> Iterator[Sample]:
    """Workers wait in a queue where nothing comes, while others are busy."""
    for x in bench.settings.idle_workers:
        with bench.fresh_server() as server, started_apart(idle, server.url, _IDLE, x):
            _wait_for_connections(server, x)
            args = ([QUEUE], _CONNECTIONS, bench.settings.curve_seconds)
            sample, outcome = measure("by_idle_workers.enqueue", server, enqueues, *args)
            verify.finish(server, [QUEUE], outcome.enqueued)
            yield replace(sample, x=x)
            done = outcome.count
            sample, outcome = measure("by_idle_workers.life", server, lives, *args)
            sent = outcome.enqueued
            verify.require_finished(server, [QUEUE], sent, outcome.finished, before=done)
            yield replace(sample, x=x)
        with bench.fresh_server() as server:
            waiting = [QUEUE, *[_IDLE] * (x - 1)]
            for sample in delivered("delivery_by_idle_workers", bench, server, waiting):
                yield replace(sample, x=x)


def _wait_for_connections(server: Server, connections: int) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while server.child.count_connections() < connections:
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{connections} workers did not connect")
        time.sleep(_POLL_SECONDS)


def by_payload(bench: Bench) -> Iterator[Sample]:
    """Payloads are written and read, and not looked into."""
    for x in bench.settings.payload_bytes:
        payload = PAYLOAD | {"text": "x" * (x - len(str(PAYLOAD)))}
        args = ([QUEUE], _PAYLOAD_CONNECTIONS, bench.settings.curve_seconds, payload)
        with bench.fresh_server() as server:
            sample, outcome = measure("by_payload.enqueue", server, enqueues, *args)
            verify.finish(server, [QUEUE], outcome.enqueued)
            yield replace(sample, x=x)
        with bench.fresh_server() as server:
            sample, outcome = measure("by_payload.life", server, lives, *args)
            verify.require_finished(server, [QUEUE], outcome.enqueued, outcome.finished)
            yield replace(sample, x=x)


def offered_load(bench: Bench) -> Iterator[Sample]:
    """Latency at a rate that the server does not choose."""
    for x in bench.settings.offered_per_second:
        with bench.fresh_server() as server:
            args = (QUEUE, _CONNECTIONS, float(x), bench.settings.curve_seconds)
            offer = run_apart(offered, server.url, *args)
            offer.outcome.require(201)
            verify.finish(server, [QUEUE], offer.outcome.enqueued)
            if not offer.outcome.count:
                raise BenchmarkError("nothing was done")
            details = {"done_per_second": offer.outcome.rate}
            if len(offer.late):
                details["generator_late_p99_ms"] = offer.late.percentile(99)
            for percent in (50.0, 90.0, 99.0, 99.9):
                value = offer.outcome.latencies.percentile(percent)
                yield Sample(f"offered.p{percent:g}", value, x=x, details=details)
