"""Measure the limits of the machine and of the load generator."""

import sys
from collections.abc import Iterator

from corvo_bench.children import Child, run_apart
from corvo_bench.load.closed import PAYLOAD, repeated
from corvo_bench.load.raw_connection import request
from corvo_bench.machine import fsyncs_per_second
from corvo_bench.results import Sample
from corvo_bench.scenarios.bench import QUEUE, Bench
from corvo_bench.server import API

_SERVERS = ("bare", "sanic")


def ceilings(bench: Bench) -> Iterator[Sample]:
    """Measure the fsyncs of the disk and the requests that servers that do nothing answer."""
    seconds = bench.settings.seconds / 2
    yield Sample("ceiling.fsync", fsyncs_per_second(bench.directory, seconds))
    for name in _SERVERS:
        command = [sys.executable, "-m", f"corvo_bench.ceilings.{name}_server"]
        with Child(command) as child:
            line = child.wait_for_line(lambda line: line.startswith("listening on "))
            url = line.split()[-1]
            body = {"queue": QUEUE, "payload": PAYLOAD}
            data = [request(url, "POST", f"{API}/enqueue", body)]
            for connections in (1, 10, 50):
                outcome = run_apart(repeated, url, data, connections, seconds)
                outcome.require(201)
                load_us = outcome.cpu_seconds / outcome.count * 1e6
                metric = f"ceiling.{name}.{connections}"
                yield Sample(metric, outcome.rate, details={"load_cpu_us": load_us})
