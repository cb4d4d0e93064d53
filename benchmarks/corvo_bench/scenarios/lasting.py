"""Measure the memory after many jobs, and a soak."""

import itertools
import time
from collections.abc import Iterator
from typing import Any

from corvo_bench.children import started_apart
from corvo_bench.load import verify
from corvo_bench.load.closed import batched_lives
from corvo_bench.results import BenchmarkError, Sample
from corvo_bench.scenarios.bench import FINE, QUEUE, Bench, measure
from corvo_bench.server import Server

_CONNECTIONS = 4
_PER_REQUEST = 100
_SOAK_POINTS = 120


def through(bench: Bench) -> Iterator[Sample]:
    """Measure the memory of a server after `through_jobs` jobs were enqueued, fetched and acked."""
    with bench.fresh_server() as server:
        args = (QUEUE, _CONNECTIONS, _PER_REQUEST)
        sample, outcome = measure(
            "through", server, batched_lives, *args, jobs=bench.settings.through_jobs
        )
        verify.require_counts(server, [QUEUE], outcome.count)
        details = {
            "jobs": float(outcome.count),
            "jobs_per_second": sample.value,
            "file_mb": server.file_mb,
        }
        yield Sample("memory.through", server.child.memory_mb(), details=details)


def soak(bench: Bench) -> Iterator[Sample]:
    """Enqueue, fetch and ack jobs at full speed; measure memory, file size and rate over time.

    Finished jobs are kept for only a tenth of the time, so the file must stop growing.
    """
    seconds = bench.settings.soak_seconds
    keep = max(1, round(seconds / 10))
    every = max(0.5, seconds / _SOAK_POINTS)
    options = {
        "--retain-completed": f"{keep}s",
        "--retain-events": f"{keep}s",
        "--prune-interval": f"{max(1, round(every))}s",
    }
    with bench.fresh_server(*itertools.chain(*options.items())) as server:
        args = (server.url, QUEUE, _CONNECTIONS, _PER_REQUEST)
        began = last = time.monotonic()
        done = 0
        with started_apart(batched_lives, *args, seconds=seconds) as result:
            while last + every - began <= seconds:
                time.sleep(every)
                now = time.monotonic()
                queue = _queue(server)
                enqueued = int(queue.get("enqueued", 0))
                x = round(now - began, 1)
                yield Sample("soak.rate", (enqueued - done) / (now - last), x=x)
                yield Sample("soak.memory", server.child.memory_mb(), x=x)
                yield Sample("soak.file", server.file_mb, x=x)
                yield Sample("soak.kept", int(queue.get("completed", 0)), x=x)
                last, done = now, enqueued
            outcome = result()
        outcome.require(*FINE)
        if _queue(server)["enqueued"] != outcome.count:
            raise BenchmarkError(
                f"{outcome.count} jobs were acked; the server counts a different number of enqueues"
            )


def _queue(server: Server) -> dict[str, Any]:
    """Return the queue with its counts; empty before its first job."""
    found = [queue for queue in server.ask("GET", "/queues") if queue["name"] == QUEUE]
    return found[0] if found else {}
