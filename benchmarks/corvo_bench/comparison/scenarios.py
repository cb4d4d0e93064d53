"""Scenarios that measure the systems and the nodes."""

from collections.abc import Iterable, Iterator
from functools import partial

from corvo_bench.children import run_apart
from corvo_bench.comparison.backends import Backends
from corvo_bench.comparison.measure import measure_system
from corvo_bench.comparison.systems import System
from corvo_bench.load import verify
from corvo_bench.load.closed import enqueues, lives
from corvo_bench.results import CORVO, BenchmarkError, NotRun, Sample
from corvo_bench.scenarios.bench import FINE, QUEUE, Bench, Scenario
from corvo_bench.server import Endpoint

_NODES = (1, 2, 3)
_CONNECTIONS = 50


def system_scenarios(backends: Backends, systems: Iterable[System]) -> dict[str, Scenario]:
    """Return a scenario for each system, by the name of the system."""
    return {system.name: partial(_measure, system, backends) for system in systems}


def node_scenarios(backends: Backends) -> dict[str, Scenario]:
    """Return the scenario of several nodes on one database, over raw HTTP."""
    return {"nodes": partial(_nodes, backends)}


def _nodes(backends: Backends, bench: Bench) -> Iterator[Sample]:
    seconds = bench.settings.seconds
    for x in _NODES:
        with backends.start(f"corvo-postgres:{x}") as urls:
            first = Endpoint(urls.partition(",")[0])
            outcome = run_apart(enqueues, urls, [QUEUE], _CONNECTIONS, seconds)
            outcome.require(*FINE)
            verify.finish(first, [QUEUE], outcome.enqueued)
            yield Sample("by_nodes.enqueue", outcome.rate, x=x)
            done = outcome.count
            outcome = run_apart(lives, urls, [QUEUE], _CONNECTIONS, seconds)
            outcome.require(*FINE)
            sent = outcome.enqueued
            verify.require_finished(first, [QUEUE], sent, outcome.finished, before=done)
            yield Sample("by_nodes.life", outcome.rate, x=x)


def _measure(system: System, backends: Backends, bench: Bench) -> Iterator[Sample]:
    """Measure a system. If a system other than Corvo fails, raise `NotRun`, which skips it."""
    try:
        yield from measure_system(system, backends, bench)
    except BenchmarkError as error:
        if system.name.startswith(CORVO):
            raise
        raise NotRun(str(error)) from None
