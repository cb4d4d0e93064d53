"""Measure jobs per second over raw HTTP."""

from collections.abc import Iterator

from corvo_bench.load import verify
from corvo_bench.load.closed import batched_enqueues, batched_lives, enqueues, lives
from corvo_bench.results import Sample
from corvo_bench.scenarios.bench import QUEUE, Bench, measure

CONNECTIONS = (1, 10, 50)
_BATCH_CONNECTIONS = 4
_PER_REQUEST = 100


def enqueue(bench: Bench) -> Iterator[Sample]:
    """Enqueue single jobs."""
    for connections in CONNECTIONS:
        with bench.fresh_server() as server:
            name = f"enqueue.{connections}"
            seconds = bench.settings.seconds
            sample, outcome = measure(name, server, enqueues, [QUEUE], connections, seconds)
            verify.finish(server, [QUEUE], outcome.enqueued)
            yield sample


def life(bench: Bench) -> Iterator[Sample]:
    """Enqueue, fetch and ack single jobs."""
    for connections in CONNECTIONS:
        with bench.fresh_server() as server:
            name = f"life.{connections}"
            seconds = bench.settings.seconds
            sample, outcome = measure(name, server, lives, [QUEUE], connections, seconds)
            verify.require_finished(server, [QUEUE], outcome.enqueued, outcome.finished)
            yield sample


def batch(bench: Bench) -> Iterator[Sample]:
    """Measure requests with many jobs. Enqueues are fast: a third of the time is enough."""
    seconds = bench.settings.seconds
    for jobs in (_PER_REQUEST, 1000):
        with bench.fresh_server() as server:
            name = f"batch.enqueue.{jobs}"
            args = (QUEUE, _BATCH_CONNECTIONS, seconds / 3, jobs)
            sample, outcome = measure(name, server, batched_enqueues, *args)
            verify.finish(server, [QUEUE], outcome.enqueued)
            yield sample
    with bench.fresh_server() as server:
        load = (QUEUE, _BATCH_CONNECTIONS, _PER_REQUEST)
        sample, outcome = measure("batch.life", server, batched_lives, *load, seconds=seconds)
        verify.require_counts(server, [QUEUE], outcome.count)
        yield sample


def commit(bench: Bench) -> Iterator[Sample]:
    """Measure enqueues with group commit and with one commit for each operation."""
    for name, options in (("commit.grouped", ()), ("commit.each", ("--max-commit", "1"))):
        with bench.fresh_server(*options) as server:
            args = ([QUEUE], 50, bench.settings.seconds)
            sample, outcome = measure(name, server, enqueues, *args)
            verify.finish(server, [QUEUE], outcome.enqueued)
            yield sample
