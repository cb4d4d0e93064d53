"""Measure the Corvo client and worker, each in one process."""

import time
from collections.abc import Iterator

from corvo_bench.children import run_apart, started_apart
from corvo_bench.load import clients, verify
from corvo_bench.results import BenchmarkError, Sample
from corvo_bench.scenarios.bench import QUEUE, Bench, measure
from corvo_bench.server import Server

_IN_FLIGHT = 50
_CONCURRENCY = 50
_POLL_SECONDS = 0.01
_PATIENCE_SECONDS = 300.0


def client(bench: Bench) -> Iterator[Sample]:
    """Measure `Client` with one call at a time and `AsyncClient` with 50 calls in flight."""
    with bench.fresh_server() as server:
        args = (QUEUE, bench.settings.client_jobs)
        sample, outcome = measure("client.serial", server, clients.serial, *args)
        verify.finish(server, [QUEUE], outcome.enqueued)
        yield sample
    with bench.fresh_server() as server:
        jobs = bench.settings.concurrent_jobs
        load = clients.concurrent
        sample, outcome = measure("client.concurrent", server, load, QUEUE, jobs, _IN_FLIGHT)
        verify.finish(server, [QUEUE], outcome.enqueued)
        yield sample


def worker(bench: Bench) -> Iterator[Sample]:
    """Measure how fast one `Worker` process drains a queue, from its first ack to its last."""
    jobs = bench.settings.concurrent_jobs
    with bench.fresh_server() as server:
        ids = run_apart(clients.bulk, server.url, QUEUE, jobs, 1000)
        used = server.child.cpu_seconds()
        with started_apart(clients.work, server.url, QUEUE, _CONCURRENCY):
            before = _completed(server, 1)
            started = time.perf_counter()
            _completed(server, jobs)
            took = time.perf_counter() - started
        details = {"server_cpu_us": (server.child.cpu_seconds() - used) / jobs * 1e6}
        verify.require_counts(server, [QUEUE], jobs)
        verify.require_once(server, ids)
        yield Sample("worker.drain", (jobs - before) / took, details=details)


def _completed(server: Server, at_least: int) -> int:
    """Wait until `at_least` jobs are completed. Return their number."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (done := int(server.ask("GET", f"/queues/{QUEUE}")["completed"])) < at_least:
        if time.monotonic() > deadline:
            raise BenchmarkError(
                f"{done} of {at_least} jobs were completed within {_PATIENCE_SECONDS:g} s"
            )
        time.sleep(_POLL_SECONDS)
    return done
